{{- define "perdure.fullname" -}}
{{- $name := default .Release.Name .Values.nameOverride -}}
{{- if contains "perdure" $name -}}{{ $name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-perdure" ($name | trunc 32 | trimSuffix "-") }}{{- end -}}
{{- end -}}

{{- define "perdure.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
app.kubernetes.io/name: perdure
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: perdure
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels by which a part is selected: (list . "operator") */}}
{{- define "perdure.selector" -}}
app.kubernetes.io/name: perdure
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* An image by its name: (list . "operator") */}}
{{- define "perdure.image" -}}
{{- $image := index (index . 0).Values.images (index . 1) -}}
{{ $image.repository }}:{{ default (index . 0).Chart.AppVersion $image.tag }}
{{- end -}}

{{- define "perdure.serviceAccount" -}}
{{ default (printf "%s-operator" (include "perdure.fullname" .)) .Values.operator.serviceAccount.name }}
{{- end -}}

{{- define "perdure.databaseSecret" -}}
{{ default (printf "%s-database" (include "perdure.fullname" .)) .Values.database.existingSecret }}
{{- end -}}

{{/* The address of the trial database, from anywhere in the cluster; its password is made once. */}}
{{- define "perdure.embeddedHost" -}}
{{ include "perdure.fullname" . }}-postgres.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "perdure.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "perdure.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The Secret with the address, as a file */}}
{{- define "perdure.databaseVolume" -}}
name: database
secret:
  secretName: {{ include "perdure.databaseSecret" . }}
  defaultMode: 0440
  items: [{key: {{ .Values.database.key }}, path: uri}]
{{- end -}}

{{/* A choice of database is a choice: none is made for anybody. */}}
{{- define "perdure.checkDatabase" -}}
{{- $chosen := list -}}
{{- if .Values.database.existingSecret -}}{{- $chosen = append $chosen "database.existingSecret" -}}{{- end -}}
{{- if .Values.database.uri -}}{{- $chosen = append $chosen "database.uri" -}}{{- end -}}
{{- if .Values.database.embedded.enabled -}}{{- $chosen = append $chosen "database.embedded.enabled" -}}{{- end -}}
{{- if eq (len $chosen) 0 -}}
{{- fail "\n\nPerdure needs a Postgres. Set one of:\n  database.existingSecret      a Secret whose key `uri` holds its address\n  database.uri                 the address itself\n  database.embedded.enabled    true: a small one beside the controller, for trials\n" -}}
{{- end -}}
{{- if gt (len $chosen) 1 -}}
{{- fail (printf "\n\nPerdure uses one Postgres, but these are set: %s. Keep one of them.\n" (join ", " $chosen)) -}}
{{- end -}}
{{- if and .Values.database.existingSecret .Values.database.copyTo -}}
{{- fail "\n\ndatabase.copyTo copies only a Secret that the chart makes: with database.existingSecret, put a Secret of that name into each namespace yourself.\n" -}}
{{- end -}}
{{- if and .Values.pools.app .Values.pools.code -}}
{{- fail "\n\nSet pools.app (a module in the image) or pools.code (modules in a ConfigMap), not both.\n" -}}
{{- end -}}
{{- end -}}
