{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: castai-pod-mutator
  labels:
    {{- include "labels" . | nindent 4 }}
webhooks:
  - name: pod-mutator.cast.ai
    admissionReviewVersions: ["v1"]
    sideEffects: None
    failurePolicy: {{ .Values.webhook.failurePolicy }}
    reinvocationPolicy: {{ .Values.webhook.reinvocationPolicy }}
    objectSelector:
      matchExpressions:
        - key: app.kubernetes.io/name
          operator: NotIn
          values: [castai-pod-mutator]
    clientConfig:
      service:
        name: castai-pod-mutator
        namespace: {{ .Release.Namespace }}
        path: /v1/mutate
    rules:
      - apiGroups: [""]
        apiVersions: ["v1"]
        operations: ["CREATE"]
        resources: ["pods"]
        scope: Namespaced
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: vpodmutation.cast.ai
  labels:
    {{- include "labels" . | nindent 4 }}
webhooks:
  - name: vpodmutation.cast.ai
    admissionReviewVersions: ["v1"]
    sideEffects: None
    failurePolicy: Fail
    clientConfig:
      service:
        name: castai-pod-mutator
        namespace: {{ .Release.Namespace }}
        path: /validate-pod-mutations-cast-ai-v1-podmutation
    rules:
      - apiGroups: ["pod-mutations.cast.ai"]
        apiVersions: ["v1"]
        operations: ["CREATE", "UPDATE"]
        resources: ["podmutations"]
        scope: Cluster
