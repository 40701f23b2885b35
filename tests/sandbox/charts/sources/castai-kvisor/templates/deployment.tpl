{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if .Values.controller.enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-kvisor-controller
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.controller.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/name: castai-kvisor-controller
      app.kubernetes.io/instance: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: castai-kvisor-controller
        app.kubernetes.io/instance: {{ .Release.Name }}
    spec:
      priorityClassName: system-cluster-critical
      serviceAccountName: castai-kvisor-controller
      containers:
        - name: controller
          image: "{{ .Values.controller.image }}:{{ .Chart.AppVersion }}"
          args:
            - run
            {{- range $name, $value := .Values.controller.extraArgs }}
            - --{{ $name }}={{ $value }}
            {{- end }}
          {{- include "env" . | nindent 10 }}
{{- end }}
