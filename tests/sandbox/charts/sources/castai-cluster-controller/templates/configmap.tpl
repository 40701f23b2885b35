{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: castai-cluster-controller
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
data:
  API_URL: {{ .Values.castai.apiURL | quote }}
  {{- if .Values.castai.clusterID }}
  CLUSTER_ID: {{ .Values.castai.clusterID | quote }}
  {{- else if not .Values.castai.clusterIdSecretKeyRef.name }}
  {{- fail "castai-cluster-controller needs castai.clusterID or castai.clusterIdSecretKeyRef.name" }}
  {{- end }}
