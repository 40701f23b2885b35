{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- if not .Values.castai.configMapRef }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: castai-workload-autoscaler-exporter
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
data:
  API_URL: {{ required "castai-workload-autoscaler-exporter needs castai.apiURL" (coalesce .Values.castai.apiUrl .Values.castai.apiURL) | quote }}
  CLUSTER_ID: {{ required "castai-workload-autoscaler-exporter needs castai.clusterID" .Values.castai.clusterID | quote }}
{{- end }}
