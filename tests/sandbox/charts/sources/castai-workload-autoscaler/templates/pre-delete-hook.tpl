{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- $hook := dict "helm.sh/hook" "pre-delete" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded,hook-failed" }}
{{- if .Values.preDeleteHook.enabled }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: castai-workload-autoscaler-pre-delete
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-5"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: castai-workload-autoscaler-pre-delete
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-5"
rules:
  - apiGroups: ["autoscaling.cast.ai"]
    resources: ["recommendations"]
    verbs: ["get", "list", "patch"]
  - apiGroups: ["apiextensions.k8s.io"]
    resources: ["customresourcedefinitions"]
    resourceNames: ["recommendations.autoscaling.cast.ai"]
    verbs: ["get", "delete"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: castai-workload-autoscaler-pre-delete
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-5"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: castai-workload-autoscaler-pre-delete
subjects:
  - kind: ServiceAccount
    name: castai-workload-autoscaler-pre-delete
    namespace: {{ .Release.Namespace }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: castai-workload-autoscaler-pre-delete
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "0"
spec:
  backoffLimit: {{ .Values.preDeleteHook.backoffLimit }}
  activeDeadlineSeconds: {{ .Values.preDeleteHook.activeDeadlineSeconds }}
  template:
    spec:
      restartPolicy: OnFailure
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: castai-workload-autoscaler-pre-delete
      containers:
        - name: pre-delete
          image: "{{ .Values.image.repository }}:{{ .Chart.AppVersion }}"
          command: ["/usr/local/bin/workload-autoscaler", "cleanup"]
{{- end }}
