{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- /*
CAST AI's chart is not public. Known are its values castai and castai-aws-vpc-cni, from CAST AI's Terraform modules and
umbrella chart, and the names of the CRD, the controller and the daemon. What the two ask for is made up.
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
castai-live
{{- else -}}
{{ required "castai-live needs castai.apiKey or castai.apiKeySecretRef" .Values.castai.apiKeySecretRef }}
{{- end -}}
{{- end }}
