{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- $hook := dict "helm.sh/hook" "pre-install,pre-upgrade" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded,hook-failed" }}
{{- if .Values.dependencyCheck.enabled }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: castai-pod-mutator-dependency-check
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-30"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: castai-pod-mutator-dependency-check
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-30"
rules:
  - apiGroups: ["apps"]
    resources: ["deployments"]
    resourceNames: ["castai-cluster-controller", "castai-agent"]
    verbs: ["get"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: castai-pod-mutator-dependency-check
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-30"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: castai-pod-mutator-dependency-check
subjects:
  - kind: ServiceAccount
    name: castai-pod-mutator-dependency-check
    namespace: {{ .Release.Namespace }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: castai-pod-mutator-dependency-check
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: Never
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: castai-pod-mutator-dependency-check
      containers:
        - name: dependency-check
          image: "{{ .Values.image.repository }}:{{ .Chart.AppVersion }}"
          command: ["castai-pod-mutator", "dependency-check"]
{{- end }}
