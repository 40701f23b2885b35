{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- /* CAST AI's fork of the VPC CNI. Its hook changes DaemonSet aws-node of the cluster; here only a DaemonSet shows it. */ -}}
{{- if index .Values "castai-aws-vpc-cni" "enabled" }}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: castai-aws-vpc-cni
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  selector:
    matchLabels:
      app: castai-aws-vpc-cni
  template:
    metadata:
      labels:
        app: castai-aws-vpc-cni
    spec:
      hostNetwork: true
      containers:
        - name: aws-node
          image: us-docker.pkg.dev/castai-hub/library/aws-vpc-cni
{{- end }}
