{{/*
The environment of a pod: {root, role, secrets, settings}. `secrets` are names in `secretKeys`;
`settings` is what the chart sets, which nobody sets over it (values.schema.json).
*/}}
{{- define "penstock.env" -}}
{{- $values := .root.Values -}}
{{- $own := index $values .role -}}
{{- $variables := dict
  "brokerUrl" "PENSTOCK_BROKER__URL"
  "managementUrl" "PENSTOCK_BROKER__MANAGEMENT_URL"
  "databaseUrl" "PENSTOCK_DATABASE__URL"
  "secretsKeys" "PENSTOCK_SECRETS__KEYS"
  "webhookSecret" "PENSTOCK_RELAY__WEBHOOK_SECRET"
  "mixmaxToken" "PENSTOCK_RELAY__MIXMAX_TOKEN"
  "sessionKey" "PENSTOCK_CONSOLE__SESSION_KEY" -}}
{{- $settings := merge (dict) .settings $own.settings $values.settings -}}
{{- range $server := list "broker" "database" -}}
{{- if and (has (printf "%sUrl" $server) $.secrets) (include "penstock.caSource" (index $values $server).ca) -}}
{{- $_ := set $settings (printf "PENSTOCK_%s__CA_FILE" (upper $server)) (printf "/etc/penstock/%s/ca.crt" $server) -}}
{{- end -}}
{{- end -}}
{{- range $name := .secrets -}}
{{- with index $values.secretKeys $name }}
- name: {{ index $variables $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $own.existingSecret | default $values.existingSecret }}
      key: {{ . }}
{{- end -}}
{{- end -}}
{{- /* Numbers as JSON has them: Go would write 1e+08. */ -}}
{{- range $name, $value := $settings }}
- name: {{ $name }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end -}}
{{- end -}}

{{/* Where a server's CA is: a volume's source, or nothing. */}}
{{- define "penstock.caSource" -}}
{{- if .secret -}}
secret: {secretName: {{ .secret }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- else if .configMap -}}
configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end -}}
{{- end -}}
