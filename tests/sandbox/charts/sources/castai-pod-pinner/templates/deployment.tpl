{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-pod-pinner
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicaCount }}
  selector:
    matchLabels:
      {{- include "selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "selector" . | nindent 8 }}
    spec:
      priorityClassName: system-cluster-critical
      serviceAccountName: castai-pod-pinner
      containers:
        - name: pod-pinner
          image: "{{ .Values.image.repository }}:{{ .Chart.AppVersion }}"
          env:
            - name: API_URL
              value: {{ required "castai-pod-pinner needs castai.apiURL" .Values.castai.apiURL | quote }}
            - name: GRPC_URL
              value: {{ required "castai-pod-pinner needs castai.grpcURL" .Values.castai.grpcURL | quote }}
            - name: CLUSTER_ID
              value: {{ .Values.castai.clusterID | quote }}
          envFrom:
            - secretRef:
                name: {{ include "secret" . }}
