// Judges ConfigMaps aws-auth: who gets in, by the parser of aws-iam-authenticator and its canonical ARNs.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"sigs.k8s.io/aws-iam-authenticator/pkg/arn"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
)

// A principal that gets in, and as whom.
type admitted struct {
	Kind     string   `json:"kind"`
	ARN      string   `json:"arn"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

type verdict struct {
	Admitted []admitted `json:"admitted"`
	Error    string     `json:"error"`
}

// Reads the data of a ConfigMap from each JSON value on stdin, answers each with a line of JSON.
func main() {
	logrus.SetOutput(io.Discard)
	input, output := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var data map[string]string
		err := input.Decode(&data)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = output.Encode(judge(data))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func judge(data map[string]string) verdict {
	users, roles, _, err := configmap.ParseMap(data)
	found := verdict{Admitted: []admitted{}}
	if err != nil {
		found.Error = err.Error()
	}
	// The authenticator keeps the last entry of each ARN.
	last := map[string]int{}
	add := func(kind, held, username string, groups []string) {
		key := strings.ToLower(held)
		if !matchesACaller(key) {
			return
		}
		entry := admitted{kind, key, username, append([]string{}, groups...)}
		if place, ok := last[kind+key]; ok {
			found.Admitted[place] = entry
			return
		}
		last[kind+key] = len(found.Admitted)
		found.Admitted = append(found.Admitted, entry)
	}
	for _, role := range roles {
		add("mapRoles", role.RoleARN, role.Username, role.Groups)
	}
	for _, user := range users {
		add("mapUsers", user.UserARN, user.Username, user.Groups)
	}
	return found
}

// Whether STS names some caller so that its canonical ARN is this one: a role's caller has lost the role's path.
func matchesACaller(key string) bool {
	kind, caller, err := arn.Canonicalize(key)
	if err != nil {
		return false
	}
	if kind == arn.ROLE {
		parts := strings.SplitN(key, ":", 6)
		name := key[strings.LastIndex(key, "/")+1:]
		caller = fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/session", parts[1], parts[4], name)
	}
	_, canonical, err := arn.Canonicalize(caller)
	return err == nil && strings.ToLower(canonical) == key
}
