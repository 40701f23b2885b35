{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if gt (int .Values.replicaCount) 1 }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: castai-evictor
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels:
      {{- include "selector" . | nindent 6 }}
---
{{- end }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-evictor
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicaCount }}
  strategy:
    type: Recreate
  selector:
    matchLabels:
      {{- include "selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "selector" . | nindent 8 }}
    spec:
      serviceAccountName: castai-evictor
      containers:
        - name: evictor
          image: "{{ .Values.image.repository }}:{{ .Chart.AppVersion }}"
          args:
            - --dry-run={{ .Values.dryRun }}
            - --aggressive-mode={{ .Values.aggressiveMode }}
            - --scoped-mode={{ .Values.scopedMode }}
            - --node-grace-period={{ .Values.nodeGracePeriodMinutes }}m
            - --max-nodes-to-evict-per-cycle={{ .Values.maxNodesToEvictPerCycle }}
            - --cycle-interval={{ .Values.cycleInterval }}
          envFrom:
            - secretRef:
                name: {{ .Values.apiKeySecretRef | default "castai-cluster-controller" }}
                optional: false
            - configMapRef:
                name: castai-cluster-controller
                optional: false
