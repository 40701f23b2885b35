{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: castai-pod-pinner
  labels:
    {{- include "labels" . | nindent 4 }}
{{- if gt (int .Values.replicaCount) 0 }}
webhooks:
  - name: pod-pinner.cast.ai
    admissionReviewVersions: ["v1"]
    sideEffects: None
    failurePolicy: {{ .Values.webhook.failurePolicy }}
    clientConfig:
      service:
        name: castai-pod-pinner
        namespace: {{ .Release.Namespace }}
        path: /mutate
    rules:
      - apiGroups: [""]
        apiVersions: ["v1"]
        operations: ["CREATE"]
        resources: ["pods"]
{{- else }}
webhooks: []
{{- end }}
