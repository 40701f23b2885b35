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
{{- if and .Values.castai.apiKey .Values.castai.apiKeySecretRef }}
{{- fail "castai.apiKey and castai.apiKeySecretRef exclude each other" }}
{{- end }}
{{- if .Values.castai.apiKey -}}
workload-autoscaler
{{- else -}}
{{ required "castai-workload-autoscaler needs castai.apiKey or castai.apiKeySecretRef" .Values.castai.apiKeySecretRef }}
{{- end -}}
{{- end }}

{{- /* As in CAST AI's chart, which asks the cluster: who may not read these configurations cannot install it. */ -}}
{{- define "cpu" -}}
{{- $warden := "warden-validating.config.common-webhooks.networking.gke.io" }}
{{- $kind := "ValidatingWebhookConfiguration" }}
{{- if .Values.autopilot.enabled -}}
500m
{{- else if and .Values.autopilot.autoDetect (lookup "admissionregistration.k8s.io/v1" $kind "" $warden) -}}
500m
{{- else -}}
{{ .Values.resources.requests.cpu }}
{{- end -}}
{{- end }}
