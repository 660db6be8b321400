{{/*
How long it may take to end past the drain's own bound, where a server is frozen: to cancel a consumer
and to close a channel 10 s each, a batch, the connection and the pool 2, 2 and 3 s.
*/}}
{{- define "penstock.slackS" -}}30{{- end -}}

{{/* metadata of what belongs to a component: {root, name, component}; of a worker also {object}. */}}
{{- define "penstock.metadata" -}}
name: {{ include "penstock.name" .root }}-{{ .name }}
labels:
  {{- include "penstock.labels" .root | nindent 2 }}
  {{- include "penstock.component" . | nindent 2 }}
{{- end -}}

{{- define "penstock.component" -}}
app.kubernetes.io/component: {{ .component }}
{{- with .object }}
penstock/object: {{ . }}
{{- end }}
{{- end -}}

{{/* The selector of a component's pods. */}}
{{- define "penstock.podSelector" -}}
matchLabels:
  {{- include "penstock.selector" .root | nindent 2 }}
  {{- include "penstock.component" . | nindent 2 }}
{{- end -}}

{{/* A Service before a role that others call: {root, role, port}. */}}
{{- define "penstock.service" -}}
{{- $own := index .root.Values .role -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "penstock.metadata" (dict "root" .root "name" .role "component" .role) | nindent 2 }}
  {{- with $own.service.annotations }}
  annotations: {{ toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $own.service.type }}
  selector:
    {{- include "penstock.selector" .root | nindent 4 }}
    {{- include "penstock.component" (dict "component" .role) | nindent 4 }}
  ports:
    - {name: http, port: {{ $own.service.port }}, targetPort: {{ .port }}, protocol: TCP}
{{- end -}}

{{/* An Ingress to that Service, of nothing but `path`: {root, role, path}. */}}
{{- define "penstock.ingress" -}}
{{- $ingress := (index .root.Values .role).ingress -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "penstock.metadata" (dict "root" .root "name" .role "component" .role) | nindent 2 }}
  {{- with $ingress.annotations }}
  annotations: {{ toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tlsSecret }}
  tls:
    - {hosts: [{{ $ingress.host }}], secretName: {{ . }}}
  {{- end }}
  rules:
    - host: {{ $ingress.host }}
      http:
        paths:
          - path: {{ .path }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "penstock.name" .root }}-{{ .role }}
                port: {name: http}
{{- end -}}
