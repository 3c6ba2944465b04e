// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package preflight says whether a cluster runs LeaderWorkerSets as it should. It is pure: others read the facts.
package preflight

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
)

// Level is what comes of a check.
type Level string

// The levels. A check is unknown if the user may not read what it looks at.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failed  Level = "failed"
	Unknown Level = "unknown"
)

// Result is what comes of one check.
type Result struct {
	Check string
	Level Level
	Text  string
}

// Webhook is a webhook of LeaderWorkerSets or their pods.
type Webhook struct {
	Name     string
	CABundle []byte

	// Service is the namespace and name of the Service that serves it; empty if it is called by a URL.
	Service string

	// Endpoints is how many ready endpoints the Service has; -1 if that isn't known.
	Endpoints int
}

// Right is something that a verb of the plugin needs.
type Right struct {
	Verbs, For string // "patch leaderworkersets", "rollout"
	Allowed    bool
}

// Facts are what the checks look at. A reason in Hidden stands for a fact that the user may not read, by the name of
// its check.
type Facts struct {
	ServerVersion string
	CRD           *apiextensionsv1.CustomResourceDefinition
	Operators     []appsv1.Deployment
	Leases        []coordinationv1.Lease
	Webhooks      []Webhook

	// DryRun is the error of the creation of a set that isn't stored. DidDryRun says that it was tried.
	DryRun    error
	DidDryRun bool

	// Namespace is the one in which rights count.
	Namespace string

	Rights []Right
	Sets   []leaderworkersetv1.LeaderWorkerSet
	Hidden map[string]string
	Now    time.Time
}

// The names of the checks.
const (
	CheckVersion   = "kubernetes"
	CheckCRD       = "crd"
	CheckOperator  = "operator"
	CheckOther     = "other controller"
	CheckWebhooks  = "webhooks"
	CheckAdmission = "admission"
	CheckRights    = "rights"
	CheckTakeover  = "takeover"
)

// oldest is the oldest version of Kubernetes that the operator supports.
const oldest = "1.34.0"

// Run returns what comes of all checks. listUnsupported adds the sets that use what the operator doesn't support.
func Run(facts *Facts, listUnsupported bool) []Result {
	results := []Result{facts.serverVersion(), facts.crd(), facts.operator(), facts.otherController()}
	results = append(results, facts.webhooks()...)
	results = append(results, facts.admission(), facts.rights())
	if listUnsupported {
		results = append(results, facts.unsupported()...)
	}
	for i := range results {
		if why := facts.Hidden[results[i].Check]; why != "" {
			results[i].Level, results[i].Text = Unknown, why
		}
	}
	return results
}

// HasFailed reports whether a check failed.
func HasFailed(results []Result) bool {
	for _, result := range results {
		if result.Level == Failed {
			return true
		}
	}
	return false
}

func (f *Facts) serverVersion() Result {
	server, err := version.ParseGeneric(f.ServerVersion)
	switch {
	case err != nil:
		return Result{CheckVersion, Unknown, fmt.Sprintf("the server's version is %q", f.ServerVersion)}
	case server.LessThan(version.MustParseGeneric(oldest)):
		return Result{CheckVersion, Failed, f.ServerVersion + " is older than " + oldest +
			", the oldest version that is supported"}
	default:
		return Result{CheckVersion, OK, f.ServerVersion}
	}
}

func (f *Facts) crd() Result {
	if f.CRD == nil {
		return Result{CheckCRD, Failed, "there is no kind LeaderWorkerSet: install the operator"}
	}
	for _, condition := range f.CRD.Status.Conditions {
		if condition.Type == apiextensionsv1.Established && condition.Status != apiextensionsv1.ConditionTrue {
			return Result{CheckCRD, Failed, "the kind isn't served: " + condition.Message}
		}
	}
	for i := range f.CRD.Spec.Versions {
		v := &f.CRD.Spec.Versions[i]
		if v.Name != leaderworkersetv1.GroupVersion.Version || v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			continue
		}
		if _, ours := v.Schema.OpenAPIV3Schema.Properties["status"].Properties["unreadyGroups"]; ours {
			return Result{CheckCRD, OK, "v1 is served, with reasons for unready groups"}
		}
		return Result{CheckCRD, Warning, "v1 is another controller's: the status has no reasons for unready groups"}
	}
	return Result{CheckCRD, Failed, "the kind has no version v1"}
}

func (f *Facts) operator() Result {
	if len(f.Operators) == 0 {
		return Result{CheckOperator, Failed, "there is no deployment of the operator"}
	}
	if len(f.Operators) > 1 {
		return Result{CheckOperator, Failed, fmt.Sprintf("there are %d operators: there must be one", len(f.Operators))}
	}
	found := &f.Operators[0]
	image := ""
	if containers := found.Spec.Template.Spec.Containers; len(containers) > 0 {
		image = ", " + containers[0].Image
	}
	text := fmt.Sprintf("%s/%s, %d of %d replicas ready%s", found.Namespace, found.Name, found.Status.ReadyReplicas,
		ptr.Deref(found.Spec.Replicas, 1), image)
	switch {
	case found.Status.ReadyReplicas == 0:
		return Result{CheckOperator, Failed, text}
	case found.Status.ReadyReplicas < ptr.Deref(found.Spec.Replicas, 1):
		return Result{CheckOperator, Warning, text}
	default:
		return Result{CheckOperator, OK, text}
	}
}

// otherController looks for a lease of the ecosystem's controller that somebody renews. The operator holds it as well
// while it runs, under its own name.
func (f *Facts) otherController() Result {
	for i := range f.Leases {
		lease := &f.Leases[i]
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		if holder == "" || strings.HasPrefix(holder, takeover.HolderPrefix) {
			continue
		}
		lasts := time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 15)) * time.Second
		if lease.Spec.RenewTime != nil && f.Now.Sub(lease.Spec.RenewTime.Time) > lasts {
			continue
		}
		return Result{CheckOther, Failed, fmt.Sprintf("%s holds the lease %s/%s: the operator waits until it stops",
			holder, lease.Namespace, lease.Name)}
	}
	return Result{CheckOther, OK, "none runs"}
}

// expiresSoon is how long before its end a certificate is worth a warning. The operator renews its own earlier.
const expiresSoon = 14 * 24 * time.Hour

func (f *Facts) webhooks() []Result {
	if len(f.Webhooks) == 0 {
		return []Result{{CheckWebhooks, Failed, "no webhook configuration names LeaderWorkerSets: pods get no identity"}}
	}
	var results []Result
	for _, webhook := range f.Webhooks {
		if level, text := webhook.state(f.Now); level != OK {
			results = append(results, Result{CheckWebhooks, level, webhook.Name + ": " + text})
		}
	}
	if len(results) == 0 {
		results = []Result{{CheckWebhooks, OK, fmt.Sprintf("%d, with endpoints and a valid CA", len(f.Webhooks))}}
	}
	return results
}

// state returns whether the API server can call a webhook.
func (w *Webhook) state(now time.Time) (Level, string) {
	block, _ := pem.Decode(w.CABundle)
	if block == nil {
		return Failed, "the caBundle is empty"
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return Failed, "the caBundle can't be read: " + err.Error()
	case now.After(certificate.NotAfter):
		return Failed, "the CA expired at " + certificate.NotAfter.UTC().Format(time.RFC3339)
	case w.Service != "" && w.Endpoints == 0:
		return Failed, "Service " + w.Service + " has no ready endpoint"
	case now.Add(expiresSoon).After(certificate.NotAfter):
		return Warning, "the CA expires at " + certificate.NotAfter.UTC().Format(time.RFC3339)
	default:
		return OK, ""
	}
}

func (f *Facts) admission() Result {
	switch {
	case !f.DidDryRun:
		return Result{CheckAdmission, Unknown, "you may not create LeaderWorkerSets: the webhooks weren't called"}
	case f.DryRun != nil:
		return Result{CheckAdmission, Failed, f.DryRun.Error()}
	default:
		return Result{CheckAdmission, OK, "the webhooks admit a set (dry run)"}
	}
}

func (f *Facts) rights() Result {
	var missing []string
	for _, right := range f.Rights {
		if !right.Allowed {
			missing = append(missing, right.Verbs+" ("+right.For+")")
		}
	}
	if len(missing) > 0 {
		return Result{CheckRights, Warning, "you may not " + strings.Join(missing, ", ")}
	}
	return Result{CheckRights, OK, "you may use all verbs"}
}

func (f *Facts) unsupported() []Result {
	var results []Result
	for i := range f.Sets {
		for _, unsupported := range f.Sets[i].Spec.Unsupported() {
			results = append(results, Result{CheckTakeover, Failed,
				f.Sets[i].Namespace + "/" + f.Sets[i].Name + ": " + unsupported.Error()})
		}
	}
	if len(results) == 0 {
		results = []Result{{CheckTakeover, OK, fmt.Sprintf("%d sets use nothing that isn't supported", len(f.Sets))}}
	}
	return results
}
