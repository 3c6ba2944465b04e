// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// OperatorConfiguration is the content of the operator's configuration file. Flags override its fields.
type OperatorConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// The namespaces whose LeaderWorkerSets the operator manages. It then reads and writes namespaced objects in these
	// and in its own namespace only. If empty, it manages all namespaces. Default: [].
	Namespaces []string `json:"namespaces"`

	Controllers      Controllers      `json:"controllers"`
	ClientConnection ClientConnection `json:"clientConnection"`
	LeaderElection   LeaderElection   `json:"leaderElection"`

	// The namespaces in which another controller of LeaderWorkerSets may run. The operator waits while one of them has a
	// lease that the other controller renews. Default: [lws-system, openshift-lws-operator].
	TakeOverFrom []string `json:"takeOverFrom"`

	Webhook    Webhook    `json:"webhook"`
	Metrics    Metrics    `json:"metrics"`
	Health     Health     `json:"health"`
	TLS        TLS        `json:"tls"`
	Profiling  Profiling  `json:"profiling"`
	Shutdown   Shutdown   `json:"shutdown"`
	Scheduling Scheduling `json:"scheduling"`

	// Feature gates by name: true enables a feature, and false disables it. There are no gates for single features yet:
	// AllAlpha and AllBeta are the only names. Default: {}.
	FeatureGates map[string]bool `json:"featureGates"`
}

// Controllers configures the reconcilers.
type Controllers struct {
	LeaderWorkerSet LeaderWorkerSetController `json:"leaderWorkerSet"`
	Group           GroupController           `json:"group"`
	Restarts        Restarts                  `json:"restarts"`
}

// LeaderWorkerSetController configures the reconciler of whole sets.
type LeaderWorkerSetController struct {
	// How many sets are reconciled at a time. 1 to 1000. Default: 5.
	Concurrency int32 `json:"concurrency"`
}

// GroupController configures the reconciler of single groups.
type GroupController struct {
	// How many groups are reconciled at a time. 1 to 1000. Default: 20.
	Concurrency int32 `json:"concurrency"`
}

// Restarts configures how groups that crash repeatedly are slowed down.
type Restarts struct {
	// The delay before the second restart in a row of a group. The first restart has no delay, and each further delay is
	// twice the one before. A duration of 0s or more. Default: 10s.
	BaseDelay metav1.Duration `json:"baseDelay"`

	// The longest delay between two restarts of a group. A duration of baseDelay or more. Default: 5m0s.
	MaxDelay metav1.Duration `json:"maxDelay"`

	// How long a group has to run after a restart for its count of restarts to begin again. A duration of more than
	// 0s. Default: 10m0s.
	HealthyAfter metav1.Duration `json:"healthyAfter"`
}

// ClientConnection limits the requests that each replica of the operator makes to the API server.
type ClientConnection struct {
	// How many requests a second a replica makes on average. More than 0. Default: 200.
	QPS float32 `json:"qps"`

	// How many requests a replica makes at once. 1 or more. Default: 400.
	Burst int32 `json:"burst"`
}

// LeaderElection configures how one of several replicas is elected to reconcile. All replicas serve webhooks.
type LeaderElection struct {
	// Whether a leader is elected. Set false only for a single replica. Default: true.
	LeaderElect bool `json:"leaderElect"`

	// The operator's namespace, which has the lease. If OLM v0 installed the operator, it has the OperatorCondition and
	// the Secret with the certificate as well. If empty, it is the namespace of the pod. Default: "".
	Namespace string `json:"namespace"`

	// How long the other replicas wait for a leader that doesn't renew its lease. A duration in whole seconds, of more
	// than renewDeadline. Default: 15s.
	LeaseDuration metav1.Duration `json:"leaseDuration"`

	// How long a leader tries to renew its lease before it stops. A duration of more than 1.2 times retryPeriod.
	// Default: 10s.
	RenewDeadline metav1.Duration `json:"renewDeadline"`

	// The time between two attempts to get or to renew the lease. A duration of more than 0s. Default: 2s.
	RetryPeriod metav1.Duration `json:"retryPeriod"`
}

// Webhook configures the server of the webhooks.
type Webhook struct {
	// The address that webhooks are served on. If empty, they are served on all addresses of the pod. Default: "".
	Host string `json:"host"`

	// The port that webhooks are served on. 1 to 65535. The Service of the webhooks has to lead to it. Default: 9443.
	Port int32 `json:"port"`

	Certificate Certificate `json:"certificate"`
}

// Certificate says where the webhooks' certificate comes from: files or authority, but not both. The default is files.
type Certificate struct {
	// Files: another program makes and renews the certificate, and the operator reads it.
	Files *CertificateFiles `json:"files,omitempty"`

	// Authority: the operator makes and renews the certificate itself. See docs/operate/certificates.md.
	Authority *CertificateAuthority `json:"authority,omitempty"`
}

// CertificateFiles names the files with the certificate.
type CertificateFiles struct {
	// The directory with the files tls.crt and tls.key. The operator reads them again when they change.
	// Default: /tmp/k8s-webhook-server/serving-certs.
	Directory string `json:"directory"`
}

// CertificateAuthority names the objects that the operator needs to make certificates. All fields are required.
type CertificateAuthority struct {
	Secret SecretReference `json:"secret"`

	// The name of the MutatingWebhookConfiguration whose caBundles get the authority. Required.
	MutatingWebhookConfiguration string `json:"mutatingWebhookConfiguration"`

	// The name of the ValidatingWebhookConfiguration whose caBundles get the authority. Required.
	ValidatingWebhookConfiguration string `json:"validatingWebhookConfiguration"`
}

// SecretReference names a Secret.
type SecretReference struct {
	// The namespace of the Secret with the authority. Required.
	Namespace string `json:"namespace"`

	// The name of the Secret with the authority. The operator creates the Secret. Required.
	Name string `json:"name"`
}

// Metrics configures the server of the metrics.
type Metrics struct {
	// The address that metrics are served on, as host:port or :port. "0" serves none. Default: ":8443".
	BindAddress string `json:"bindAddress"`

	// Whether metrics are served by HTTPS, and only to clients that the API server authenticates and authorizes.
	// Otherwise they are served by HTTP, to everybody. Default: true.
	Secure bool `json:"secure"`

	// The directory with tls.crt and tls.key for metrics. If empty, the operator signs a certificate itself.
	// Default: "".
	CertificateDirectory string `json:"certificateDirectory"`

	// The name of the Service of the metrics, in the namespace of webhook.certificate.authority.secret. With an authority
	// and without certificateDirectory, the certificate that the operator makes covers this Service. Default: "".
	ServiceName string `json:"serviceName"`

	// The name of the ConfigMap in which the operator publishes the authority for readers of the metrics, in the namespace
	// of webhook.certificate.authority.secret. The operator creates the ConfigMap. If empty, there is none. Default: "".
	AuthorityConfigMap string `json:"authorityConfigMap"`

	// Whether each LeaderWorkerSet has histograms of its own. Otherwise one histogram takes all. Default: true.
	PerSetHistograms bool `json:"perSetHistograms"`
}

// Health configures the server of the probes.
type Health struct {
	// The address that /healthz and /readyz are served on, as host:port or :port. "0" serves none. Default: ":8081".
	BindAddress string `json:"bindAddress"`
}

// TLS restricts the connections to webhooks and metrics.
type TLS struct {
	// The lowest version of TLS that clients may use. VersionTLS12 or VersionTLS13. Default: VersionTLS12.
	MinVersion string `json:"minVersion"`

	// The cipher suites that clients may use with TLS 1.2, by the names of Go's package crypto/tls. HTTP/2 has to allow
	// each of them. The suites of TLS 1.3 can't be chosen. If empty, the suites are Go's. Default: [].
	CipherSuites []string `json:"cipherSuites"`
}

// Profiling configures the server of Go's profiles, net/http/pprof.
type Profiling struct {
	// The address that /debug/pprof/ is served on, as host:port or :port. Everybody who reaches the address may read the
	// profiles, so use a loopback address. "0" serves none. Default: "0".
	BindAddress string `json:"bindAddress"`
}

// Shutdown configures how a replica ends.
type Shutdown struct {
	// How long a replica keeps working after it is asked to end, while API servers stop calling its webhooks. A duration
	// of 0s or more. The pod's terminationGracePeriodSeconds has to be 10 s longer. Default: 10s.
	Delay metav1.Duration `json:"delay"`
}

// Scheduling configures gang scheduling.
type Scheduling struct {
	// What schedules the pods of a group together, for sets with spec.scheduling. None: nothing does, and such sets are
	// rejected. Kubernetes: the scheduler of Kubernetes 1.36 or later, with its feature gate GenericWorkload. It needs
	// further rights, see docs/concepts/placement-and-gangs.md. Default: None.
	Provider string `json:"provider"`
}
