{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- /* As in CAST AI's chart: a hook Job waits for the CRD, then a hook makes the object of that kind. */ -}}
{{- $hook := dict "helm.sh/hook" "post-install,post-upgrade" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
{{- if .Values.crdUpgrade.enabled }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: castai-workload-autoscaler-exporter-crd-wait
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: castai-workload-autoscaler-exporter-crd-wait
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
rules:
  - apiGroups: ["apiextensions.k8s.io"]
    resources: ["customresourcedefinitions"]
    verbs: ["get", "list", "watch"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: castai-workload-autoscaler-exporter-crd-wait
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: castai-workload-autoscaler-exporter-crd-wait
subjects:
  - kind: ServiceAccount
    name: castai-workload-autoscaler-exporter-crd-wait
    namespace: {{ .Release.Namespace }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: castai-workload-autoscaler-exporter-crd-wait-{{ .Release.Revision }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-5"
spec:
  backoffLimit: 3
  activeDeadlineSeconds: 300
  template:
    spec:
      restartPolicy: Never
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: castai-workload-autoscaler-exporter-crd-wait
      containers:
        - name: wait-crd
          image: "{{ .Values.crdUpgrade.image.repository }}:{{ .Values.crdUpgrade.image.tag }}"
          args: ["wait", "--for=condition=Established", "crd/custommetricsexporterconfigs.autoscaling.cast.ai"]
          resources:
            {{- toYaml .Values.crdUpgrade.resources | nindent 12 }}
{{- end }}
---
apiVersion: autoscaling.cast.ai/v1
kind: CustomMetricsExporterConfig
metadata:
  name: exporter-config
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    helm.sh/hook: post-install,post-upgrade,pre-delete
    helm.sh/hook-weight: "0"
spec:
  concurrency: 10
  failureLimit: 5
  interval: 15s
