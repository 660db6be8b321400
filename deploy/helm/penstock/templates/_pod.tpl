{{/*
The template of every pod: {root, role, component, args, secrets, settings, resources}, and where it
has them {object, ports, preStopS, graceS, spread, command, restartPolicy, isHook}.

Settings stand in the pod itself, not in a ConfigMap: a changed one replaces the pods, a rollback
brings back those that the old ones ran with, and no checksum has to say so.
*/}}
{{- define "penstock.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- /* No version of the chart: a new one alone replaces no pod. */}}
    {{- include "penstock.selector" $root | nindent 4 }}
    {{- include "penstock.component" . | nindent 4 }}
    {{- with $values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    kubectl.kubernetes.io/default-container: penstock
    {{- with $values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- if not .isHook }}
  serviceAccountName: {{ include "penstock.name" $root }}
  {{- end }}
  automountServiceAccountToken: false
  # Else a Service named penstock-… puts PENSTOCK_… into every pod, which are no settings.
  enableServiceLinks: false
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .graceS }}
  terminationGracePeriodSeconds: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .spread }}
  # Over zones where there are any, and over nodes in them; pods of the version before do not count.
  topologySpreadConstraints:
    {{- range $key, $unsatisfiable := dict
      "topology.kubernetes.io/zone" "ScheduleAnyway" "kubernetes.io/hostname" .whenUnsatisfiable }}
    - topologyKey: {{ $key }}
      maxSkew: 1
      whenUnsatisfiable: {{ $unsatisfiable }}
      nodeTaintsPolicy: Honor
      matchLabelKeys: [pod-template-hash]
      labelSelector: {{ include "penstock.podSelector" $ | nindent 8 }}
    {{- end }}
  {{- end }}
  containers:
    - name: penstock
      image: {{ include "penstock.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      {{- with .command }}
      command: {{ toJson . }}
      {{- end }}
      {{- with .args }}
      args: {{ toJson . }}
      {{- end }}
      env:
        {{- include "penstock.env" . | trim | nindent 8 }}
      {{- with .ports }}
      ports:
        {{- range $name, $port := . }}
        - {name: {{ $name }}, containerPort: {{ $port }}, protocol: TCP}
        {{- end }}
      # The event loop turns; that says nothing of the servers, whose outage no restart mends.
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 1
        timeoutSeconds: 3
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # It can do its work. A node of the broker that restarts is away for less than these 15 s.
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      {{- end }}
      {{- with .preStopS }}
      lifecycle:
        preStop: {sleep: {seconds: {{ . }}}}
      {{- end }}
      resources: {{ toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- include "penstock.mounts" . | nindent 6 }}
  {{- include "penstock.volumes" . | nindent 2 }}
{{- end -}}

{{/* Certificates: of the CA of each server that the role talks to, and of whoever brings others. */}}
{{- define "penstock.mounts" -}}
{{- $values := .root.Values -}}
{{- $mounts := $values.extraVolumeMounts -}}
{{- range $server := list "broker" "database" -}}
{{- if and (has (printf "%sUrl" $server) $.secrets) (include "penstock.caSource" (index $values $server).ca) -}}
{{- $mounts = append $mounts (dict "name" (printf "%s-ca" $server) "mountPath" (printf "/etc/penstock/%s" $server) "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- with $mounts -}}
volumeMounts: {{ toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "penstock.volumes" -}}
{{- $values := .root.Values -}}
{{- $volumes := $values.extraVolumes -}}
{{- range $server := list "broker" "database" -}}
{{- $source := include "penstock.caSource" (index $values $server).ca -}}
{{- if and (has (printf "%sUrl" $server) $.secrets) $source -}}
{{- $volumes = append $volumes (merge (dict "name" (printf "%s-ca" $server)) (fromYaml $source)) -}}
{{- end -}}
{{- end -}}
{{- with $volumes -}}
volumes: {{ toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
