{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if .Values.clusterVPA.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: castai-evictor-autoscaler
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
data:
  castai-evictor: |-
    {"evictor": {"requests": {"memory": {"base": "512Mi", "max": "4Gi", "step": "128Mi", "nodesPerStep": 20}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-evictor-cpvpa
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ ternary 0 1 (eq (int .Values.replicaCount) 0) }}
  selector:
    matchLabels:
      app.kubernetes.io/name: castai-evictor-cpvpa
      app.kubernetes.io/instance: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: castai-evictor-cpvpa
        app.kubernetes.io/instance: {{ .Release.Name }}
    spec:
      serviceAccountName: castai-evictor
      containers:
        - name: autoscaler
          image: "{{ .Values.clusterVPA.repository }}:{{ .Values.clusterVPA.version }}"
{{- end }}
