{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: castai-workload-autoscaler
  labels:
    {{- include "labels" . | nindent 4 }}
webhooks:
  - name: workload-autoscaler.cast.ai
    admissionReviewVersions: ["v1"]
    sideEffects: None
    failurePolicy: {{ .Values.webhook.failurePolicy }}
    reinvocationPolicy: {{ .Values.webhook.reinvocationPolicy }}
    objectSelector:
      matchExpressions:
        - key: app.kubernetes.io/name
          operator: NotIn
          values: [castai-workload-autoscaler]
    clientConfig:
      service:
        name: castai-workload-autoscaler
        namespace: {{ .Release.Namespace }}
        path: /v1/mutate
    rules:
      - apiGroups: [""]
        apiVersions: ["v1"]
        operations: ["CREATE"]
        resources: ["pods"]
        scope: Namespaced
  - name: hpa-ownership.cast.ai
    admissionReviewVersions: ["v1"]
    sideEffects: None
    failurePolicy: {{ .Values.webhook.failurePolicy }}
    reinvocationPolicy: {{ .Values.webhook.reinvocationPolicy }}
    clientConfig:
      service:
        name: castai-workload-autoscaler
        namespace: {{ .Release.Namespace }}
        path: /v1/mutate-hpa
    rules:
      - apiGroups: ["autoscaling"]
        apiVersions: ["v2"]
        operations: ["UPDATE", "DELETE"]
        resources: ["horizontalpodautoscalers"]
        scope: Namespaced
