{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if .Values.castai.apiKey }}
apiVersion: v1
kind: Secret
metadata:
  name: castai-workload-autoscaler-exporter
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
type: Opaque
data:
  API_KEY: {{ .Values.castai.apiKey | b64enc | quote }}
{{- end }}
