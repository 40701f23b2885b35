{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if .Values.agent.enabled }}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: castai-kvisor-agent
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "selector" . | nindent 8 }}
    spec:
      hostPID: true
      priorityClassName: system-cluster-critical
      serviceAccountName: castai-kvisor
      tolerations:
        - operator: Exists
      containers:
        - name: kvisor
          image: "{{ .Values.agent.image }}:{{ .Chart.AppVersion }}"
          args:
            - run
            {{- range $name, $value := .Values.agent.extraArgs }}
            - --{{ $name }}={{ $value }}
            {{- end }}
          {{- include "env" . | nindent 10 }}
{{- end }}
