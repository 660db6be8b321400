{{/* What everything begins with; "-worker-opportunity" still fits behind it. */}}
{{- define "penstock.name" -}}
{{- if contains "penstock" .Release.Name -}}
{{- .Release.Name | trunc 43 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-penstock" (.Release.Name | trunc 34 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* The labels of all that this release runs, which never change. */}}
{{- define "penstock.selector" -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "penstock.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The https address of a role that browsers or Salesforce come to; empty without one. */}}
{{- define "penstock.publicUrl" -}}
{{- if .publicUrl -}}
{{ .publicUrl }}
{{- else if .ingress.enabled -}}
https://{{ required "an enabled ingress needs a host" .ingress.host }}
{{- end -}}
{{- end -}}

{{/* Whether enrolments have anywhere to go; without, a relay would not start. */}}
{{- define "penstock.hasTarget" -}}
{{- if or .Values.relay.webhookUrl .Values.secretKeys.mixmaxToken -}}yes{{- end -}}
{{- end -}}
