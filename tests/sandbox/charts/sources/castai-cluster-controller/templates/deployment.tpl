{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: castai-cluster-controller
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ include "replicas" . }}
  {{- if not .Values.leaderElectionEnabled }}
  strategy:
    type: Recreate
  {{- end }}
  selector:
    matchLabels:
      {{- include "selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "selector" . | nindent 8 }}
      {{- if .Values.aks.enabled }}
      annotations:
        scheduling.cast.ai/lifecycle: on-demand
      {{- end }}
    spec:
      {{- if .Values.priorityClass.enabled }}
      priorityClassName: {{ .Values.priorityClass.name }}
      {{- end }}
      serviceAccountName: castai-cluster-controller
      {{- if .Values.enableTopologySpreadConstraints }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "selector" . | nindent 14 }}
      {{- else }}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector:
                matchLabels:
                  {{- include "selector" . | nindent 18 }}
      {{- end }}
      containers:
        {{- range list "cluster-controller" "monitor" }}
        - name: {{ . }}
          image: "{{ $.Values.image.repository }}:{{ $.Chart.AppVersion }}"
          env:
            - name: AUTOSCALING_DISABLED
              value: {{ not $.Values.autoscaling.enabled | quote }}
            {{- with $.Values.castai.clusterIdSecretKeyRef }}
            {{- if .name }}
            - name: CLUSTER_ID
              valueFrom:
                secretKeyRef:
                  name: {{ .name }}
                  key: {{ .key }}
            {{- end }}
            {{- end }}
            {{- range $name, $value := $.Values.additionalEnv }}
            - name: {{ $name }}
              value: {{ $value | quote }}
            {{- end }}
          envFrom:
            - secretRef:
                name: {{ include "secret" $ }}
            - configMapRef:
                name: castai-cluster-controller
        {{- end }}
