{{- define "aim-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "aim-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of what belongs to no namespace: there may be one limited release in each. */}}
{{- define "aim-operator.clusterName" -}}
{{- if .Values.namespaces -}}
{{- printf "%s-%s" (include "aim-operator.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- include "aim-operator.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "aim-operator.selector" -}}
app.kubernetes.io/name: {{ include "aim-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "aim-operator.labels" -}}
{{ include "aim-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "aim-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "aim-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the service account to use, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "aim-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "aim-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "aim-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Rules written by `make generate` from what the code declares; arguments: the root context, a name. */}}
{{- define "aim-operator.rules" -}}
{{- (index . 0).Files.Get (printf "files/rules/%s.yaml" (index . 1)) -}}
{{- end -}}

{{/* The chart's own, and those of a parent chart; each once. */}}
{{- define "aim-operator.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat .Values.imagePullSecrets (default list (.Values.global).imagePullSecrets) -}}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)).name -}}
{{- end -}}
{{- with uniq $secrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Not the selector's: the Pod of a test is none of the operator's, neither for its Service nor its policy. */}}
{{- define "aim-operator.testLabels" -}}
{{- $labels := include "aim-operator.labels" . | fromYaml -}}
{{- $own := dict "app.kubernetes.io/name" (printf "%s-test" (include "aim-operator.name" .)) -}}
{{- toYaml (merge $own $labels) -}}
{{- end -}}

{{/* Argument: what is made first. It goes before the next test, and once one went well: a failed one has a log. */}}
{{- define "aim-operator.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The port of tracing.endpoint: what is written, or the scheme's own. */}}
{{- define "aim-operator.tracingPort" -}}
{{- $url := urlParse .Values.tracing.endpoint -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}
