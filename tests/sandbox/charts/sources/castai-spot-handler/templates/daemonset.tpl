{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: castai-spot-handler
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
      priorityClassName: system-cluster-critical
      serviceAccountName: castai-spot-handler
      hostNetwork: {{ .Values.useHostNetwork }}
      {{- with .Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions:
                  - key: scheduling.cast.ai/spot
                    operator: In
                    values: ["true"]
              - matchExpressions:
                  - key: eks.amazonaws.com/capacityType
                    operator: In
                    values: ["SPOT"]
              - matchExpressions:
                  - key: cloud.google.com/gke-spot
                    operator: In
                    values: ["true"]
              - matchExpressions:
                  - key: kubernetes.azure.com/scalesetpriority
                    operator: In
                    values: ["spot"]
      tolerations:
        - operator: Exists
      containers:
        - name: castai-spot-handler
          image: "{{ .Values.image.repository }}:{{ .Chart.AppVersion }}"
          env:
            - name: API_URL
              value: {{ .Values.castai.apiURL | quote }}
            - name: PROVIDER
              value: {{ include "provider" . }}
            - name: CLUSTER_ID
              {{- if .Values.castai.clusterID }}
              value: {{ .Values.castai.clusterID | quote }}
              {{- else if .Values.castai.clusterIdConfigMapKeyRef.name }}
              valueFrom:
                configMapKeyRef:
                  {{- toYaml .Values.castai.clusterIdConfigMapKeyRef | nindent 18 }}
              {{- else if .Values.castai.clusterIdSecretKeyRef.name }}
              valueFrom:
                secretKeyRef:
                  {{- toYaml .Values.castai.clusterIdSecretKeyRef | nindent 18 }}
              {{- else }}
              {{- fail "castai-spot-handler needs castai.clusterID or a reference to it" }}
              {{- end }}
          envFrom:
            - secretRef:
                name: {{ include "secret" . }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
