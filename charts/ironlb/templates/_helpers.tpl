{{/* The image reference. */}}
{{- define "ironlb.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Labels of every object. Call with (dict "root" $ "component" "controller"). */}}
{{- define "ironlb.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{ include "ironlb.selectorLabels" . }}
{{- end }}

{{/* What selects pods: fixed for ever, because a selector cannot be changed by an upgrade. */}}
{{- define "ironlb.selectorLabels" -}}
app.kubernetes.io/name: ironlb
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Arguments that controller and speaker share. */}}
{{- define "ironlb.commonArgs" -}}
- --load-balancer-class={{ .Values.loadBalancerClass }}
- --service-selection={{ .Values.serviceSelection }}
- --log-format={{ .Values.logFormat }}
- --log-level={{ .Values.logLevel }}
- --admin-socket=/run/ironlb/admin.sock
{{- end }}

{{/* Probes ask this very process through its socket: on a node that rolls from one speaker to the next, both share the
     node's ports. */}}
{{- define "ironlb.probes" -}}
livenessProbe:
  exec:
    command: [/usr/local/bin/ironlb, probe, live, --admin-socket=/run/ironlb/admin.sock]
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  exec:
    command: [/usr/local/bin/ironlb, probe, ready, --admin-socket=/run/ironlb/admin.sock]
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{/* Where the pod is, told by the kubelet. */}}
{{- define "ironlb.podEnv" -}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}

{{/* What makes an object a hook of install and upgrade. */}}
{{- define "ironlb.crdsHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* What controller and speaker need to notice OpenELB: a list by name is granted by name. */}}
{{- define "ironlb.openelbRules" -}}
# To notice that OpenELB is still here, and then only to observe. It asks for these names in every namespace, and may ask for
# no other.
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [openelb-controller, openelb-manager]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [daemonsets]
  resourceNames: [openelb-speaker, openelb-keepalive-vip]
  verbs: [get, list, watch]
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations, mutatingwebhookconfigurations]
  resourceNames: [openelb-admission]
  verbs: [get, list]
{{- end }}
