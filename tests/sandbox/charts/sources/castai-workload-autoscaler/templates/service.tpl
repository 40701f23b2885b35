{{- /*
Copyright (c) 2026, the castai.onboarding authors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}
apiVersion: v1
kind: Service
metadata:
  name: castai-workload-autoscaler
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" . | nindent 4 }}
spec:
  selector:
    {{- include "selector" . | nindent 4 }}
  ports:
    - name: https
      port: 443
      targetPort: 9443
    - name: metrics
      port: 8080
      targetPort: 8080
