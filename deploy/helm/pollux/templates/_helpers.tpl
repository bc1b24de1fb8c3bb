{{- define "pollux.labels" -}}
app.kubernetes.io/name: pollux
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pollux.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The pod of a role: dict "root" $ "role" "api" "values" .Values.api */}}
{{- define "pollux.pod" -}}
metadata:
  labels:
    {{- include "pollux.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
  annotations:
    checksum/settings: {{ .root.Values.settings | toJson | sha256sum }}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "pollux.labels" .root | nindent 10 }}
          app.kubernetes.io/component: {{ .role }}
  containers:
    - name: pollux
      image: {{ include "pollux.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [{{ .role }}]
      env:
        - {name: BIND, value: "0.0.0.0:8000"}
        - {name: METRICS_BIND, value: "0.0.0.0:9090"}
        # Endpoints are updated while the process still accepts connections.
        - {name: SHUTDOWN_DELAY, value: "5"}
        {{- range $name, $value := .root.Values.settings }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      envFrom:
        - secretRef:
            name: {{ required "existingSecret must name a secret with DATABASE_URL, REDIS_URL and JWT_SECRET" .root.Values.existingSecret }}
      ports:
        - {name: http, containerPort: 8000}
        - {name: metrics, containerPort: 9090}
      startupProbe:
        httpGet: {path: /health/live, port: http}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /health/live, port: http}
        periodSeconds: 10
      readinessProbe:
        httpGet: {path: /health/ready, port: http}
        periodSeconds: 3
        timeoutSeconds: 5
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
{{- end }}
