{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
{{- range list "castai-kvisor-agent-critical-pods" "castai-kvisor-controller-critical-pods" }}
---
apiVersion: v1
kind: ResourceQuota
metadata:
  name: {{ . }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "labels" $ | nindent 4 }}
spec:
  scopeSelector:
    matchExpressions:
      - scopeName: PriorityClass
        operator: In
        values:
          - system-cluster-critical
{{- end }}
