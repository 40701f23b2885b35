{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-workload-autoscaler-exporter
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: 1
  selector:
    matchLabels:
      app: castai-workload-autoscaler-exporter
      {{- include "selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        app: castai-workload-autoscaler-exporter
        {{- include "selector" . | nindent 8 }}
    spec:
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: castai-workload-autoscaler-exporter
      containers:
        - name: exporter
          image: "{{ .Values.exporter.image.repository }}:{{ .Chart.AppVersion }}"
          command: ["/usr/local/bin/workload-autoscaler", "exporter"]
          resources:
            {{- toYaml .Values.exporter.resources | nindent 12 }}
          env:
            - name: TELEMETRY_URL
              value: {{ .Values.castai.telemetryURL | quote }}
          envFrom:
            - secretRef:
                name: {{ include "secret" . }}
            - configMapRef:
                name: {{ .Values.castai.configMapRef | default "castai-workload-autoscaler-exporter" }}
