{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if .Values.clusterVPA.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: castai-agent-autoscaler
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
data:
  castai-agent: |-
    {{- if .Values.clusterVPA.configOverride }}
    {{- .Values.clusterVPA.configOverride | nindent 4 }}
    {{- else }}
    {"agent": {"requests": {"memory": {"base": "2Gi", "max": "8Gi", "step": "256Mi", "nodesPerStep": 20}}}}
    {{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-agent-cpvpa
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: castai-agent-cpvpa
      app.kubernetes.io/instance: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: castai-agent-cpvpa
        app.kubernetes.io/instance: {{ .Release.Name }}
    spec:
      {{- if .Values.priorityClass.enabled }}
      priorityClassName: {{ .Values.priorityClass.name }}
      {{- end }}
      serviceAccountName: {{ .Values.serviceAccount.name }}
      containers:
        - name: autoscaler
          image: "{{ .Values.clusterVPA.repository }}:{{ .Values.clusterVPA.version }}"
          args:
            - --target=deployment/castai-agent
            - --namespace={{ .Release.Namespace }}
            - --poll-period-seconds={{ .Values.clusterVPA.pollPeriodSeconds }}
{{- end }}
