{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-live-controller
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.controller.replicaCount }}
  selector:
    matchLabels:
      app: castai-live-controller
  template:
    metadata:
      labels:
        app: castai-live-controller
    spec:
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: castai-live-controller
      containers:
        - name: controller
          image: "{{ .Values.controller.image.repository }}:{{ .Chart.AppVersion }}"
          env:
            - name: API_URL
              value: {{ .Values.castai.apiURL | quote }}
            - name: CLUSTER_ID
              value: {{ required "castai-live needs castai.clusterID" .Values.castai.clusterID | quote }}
          envFrom:
            - secretRef:
                name: {{ include "secret" . }}
