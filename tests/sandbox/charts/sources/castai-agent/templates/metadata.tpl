{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- /* As in CAST AI's chart: the agent itself writes CLUSTER_ID into it, and creates it where the chart does not. */ -}}
{{- if .Values.metadataStore.createConfigMap }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.metadataStore.configMapName }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
data:
  API_URL: {{ .Values.apiURL | quote }}
{{- end }}
