{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- /* As in CAST AI's chart: a hook Job brings the CRD and the EvictorConfig; without it the chart brings the latter. */ -}}
{{- $hook := dict "helm.sh/hook" "pre-install,pre-upgrade" "helm.sh/hook-delete-policy" "before-hook-creation" }}
{{- if .Values.crdUpgrade.enabled }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: castai-evictor-crd-upgrade
  namespace: {{ .Release.Namespace }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: castai-evictor-crd-upgrade
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
rules:
  - apiGroups: ["apiextensions.k8s.io", "autoscaling.cast.ai"]
    resources: ["*"]
    verbs: ["get", "create", "patch"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: castai-evictor-crd-upgrade
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: castai-evictor-crd-upgrade
subjects:
  - kind: ServiceAccount
    name: castai-evictor-crd-upgrade
    namespace: {{ .Release.Namespace }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: castai-evictor-crds
  namespace: {{ .Release.Namespace }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
    helm.sh/hook-weight: "-10"
data:
  evictorconfig.yaml: |
    apiVersion: autoscaling.cast.ai/v1alpha1
    kind: EvictorConfig
    metadata:
      name: evictor-config
---
apiVersion: batch/v1
kind: Job
metadata:
  name: castai-evictor-crd-upgrade-{{ .Release.Revision }}
  namespace: {{ .Release.Namespace }}
  annotations:
    {{- toYaml $hook | nindent 4 }}
spec:
  backoffLimit: 3
  template:
    spec:
      restartPolicy: Never
      serviceAccountName: castai-evictor-crd-upgrade
      {{- with .Values.crdUpgrade.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: kubectl
          {{- $digest := .Values.crdUpgrade.image.digest }}
          image: {{ .Values.crdUpgrade.image.repository }}:{{ .Values.crdUpgrade.image.tag }}{{ with $digest }}@{{ . }}{{ end }}
          args: ["apply", "--server-side", "--filename", "/crds"]
          volumeMounts:
            - name: crds
              mountPath: /crds
      volumes:
        - name: crds
          configMap:
            name: castai-evictor-crds
{{- else }}
apiVersion: autoscaling.cast.ai/v1alpha1
kind: EvictorConfig
metadata:
  name: evictor-config
{{- end }}
