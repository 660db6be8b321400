{{/* The spec of a Job that runs one command to its end: {root, role, secrets, isHook}. */}}
{{- define "penstock.job" -}}
{{- $own := index .root.Values .role -}}
{{- $pod := dict
  "root" .root "role" .role "component" .role "args" (list .role) "secrets" .secrets "settings" (dict)
  "resources" $own.resources "restartPolicy" "Never" "isHook" .isHook -}}
# A new pod for each try, so that what each said can be read.
backoffLimit: 3
activeDeadlineSeconds: {{ $own.timeoutS }}
template: {{ include "penstock.pod" $pod | nindent 2 }}
{{- end -}}

{{/*
Annotations of what is there before an installation or upgrade, and gone once that has succeeded; a
Job that failed stays to be read. Lower weights come first.
*/}}
{{- define "penstock.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
