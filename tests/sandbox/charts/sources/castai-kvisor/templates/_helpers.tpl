{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "selector" . }}
{{- end }}

{{- define "secret" -}}
{{- if and .Values.castai.apiKey .Values.castai.apiKeySecretRef -}}
{{- fail "castai-kvisor takes either castai.apiKey or castai.apiKeySecretRef" -}}
{{- end -}}
{{- if .Values.castai.apiKey -}}
{{ .Release.Name }}
{{- else -}}
{{ required "castai-kvisor needs castai.apiKey or castai.apiKeySecretRef" .Values.castai.apiKeySecretRef }}
{{- end -}}
{{- end }}

{{- define "env" -}}
env:
  - name: CASTAI_API_GRPC_ADDR
    value: {{ .Values.castai.grpcAddr | quote }}
  - name: CASTAI_CLUSTER_ID
    {{- if .Values.castai.clusterID }}
    value: {{ .Values.castai.clusterID | quote }}
    {{- else if .Values.castai.clusterIdConfigMapKeyRef.name }}
    valueFrom:
      configMapKeyRef:
        {{- toYaml .Values.castai.clusterIdConfigMapKeyRef | nindent 8 }}
    {{- else if .Values.castai.clusterIdSecretKeyRef.name }}
    valueFrom:
      secretKeyRef:
        {{- toYaml .Values.castai.clusterIdSecretKeyRef | nindent 8 }}
    {{- else }}
    {{- fail "castai-kvisor needs castai.clusterID or a reference to it" }}
    {{- end }}
envFrom:
  - secretRef:
      name: {{ include "secret" . }}
{{- end }}
