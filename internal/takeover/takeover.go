// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package takeover keeps two controllers from working on the same LeaderWorkerSets. The ecosystem's LeaderWorkerSet
// controller holds a lease while it runs. As long as somebody else holds that lease in one of the configured
// namespaces, no replica of the operator is elected or ready. The elected replica holds the lease as well as the
// operator's own. If another controller gets the lease nevertheless, the operator's process ends, as it does when it
// loses the leader election.
//
// The operator never creates the lease: Kubernetes can't limit that right to a name. Without the lease, there is no
// other controller. Without leader election, the operator doesn't look at the lease.
package takeover

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/leaderworkerset/lws-operator/internal/namespace"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,resourceNames=b8b2488c.x-k8s.io,verbs=get;update

// LeaseName is the name of the lease that the ecosystem's LeaderWorkerSet controller holds in its namespace.
const LeaseName = "b8b2488c.x-k8s.io"

// HolderPrefix begins the name under which the operator holds that lease. The operator's namespace follows.
const HolderPrefix = "lws-operator_"

// requestTimeout bounds a request for a lease. It is below the renew deadline of the leader election, so that one slow
// answer doesn't lose the leadership.
const requestTimeout = 5 * time.Second

// DefaultNamespaces returns the namespaces in which distributions of the ecosystem's controller hold their lease.
func DefaultNamespaces() []string { return []string{"lws-system", "openshift-lws-operator"} }

// HeldError says that another controller holds a lease.
type HeldError struct {
	Lease  string // <namespace>/<name>
	Holder string
}

// Error tells the user what to do.
func (e *HeldError) Error() string {
	return fmt.Sprintf("another LeaderWorkerSet controller, %s, holds the lease %s: stop that controller first",
		e.Holder, e.Lease)
}

// NewManager returns a manager. If it elects a leader, it waits until no other controller holds the lease in one of the
// namespaces takeOverFrom. They need not exist.
func NewManager(config *rest.Config, options ctrl.Options, takeOverFrom []string) (ctrl.Manager, error) {
	if !options.LeaderElection {
		return ctrl.NewManager(config, options)
	}
	operator, err := namespace.Operator(options.LeaderElectionNamespace)
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	leases, err := newClient(config)
	if err != nil {
		return nil, err
	}
	own := newLease(leases, operator, options.LeaderElectionID, hostname+"_"+string(uuid.NewUUID()))
	lock := newLock(leases, own, takeOverFrom, ctrl.Log.WithName("takeover"))
	options.LeaderElectionResourceLockInterface = lock
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, err
	}
	lock.status.recordBy(mgr.GetEventRecorder("leader-election"))
	return mgr, errors.Join(mgr.Add(lock.status), mgr.AddReadyzCheck("takeover", lock.status.ready))
}

// newClient returns a client for leases.
func newClient(config *rest.Config) (coordinationv1client.LeasesGetter, error) {
	config = rest.AddUserAgent(config, "leader-election")
	config.Timeout = requestTimeout
	return coordinationv1client.NewForConfig(config)
}

// newLock returns the lock of the operator's own lease and of the leases in the namespaces takeOverFrom.
func newLock(
	leases coordinationv1client.LeasesGetter, own *resourcelock.LeaseLock, takeOverFrom []string, log logr.Logger,
) *lock {
	l := &lock{
		Interface: own,
		identity:  HolderPrefix + own.LeaseMeta.Namespace,
		status:    newStatus(log, own),
	}
	for _, other := range takeOverFrom {
		l.others = append(l.others, newLease(leases, other, LeaseName, l.identity))
	}
	return l
}

func newLease(client coordinationv1client.LeasesGetter, namespace, name, identity string) *resourcelock.LeaseLock {
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
}

// status is what the leader election last learned about other controllers.
type status struct {
	log   logr.Logger
	lease *resourcelock.LeaseLock // the operator's own, which events are about
	lost  chan error              // gets the reason why an elected replica has to end

	mu       sync.Mutex
	recorder events.EventRecorder
	err      error // why the operator waits; nil if it doesn't
}

var _ manager.LeaderElectionRunnable = (*status)(nil)

func newStatus(log logr.Logger, lease *resourcelock.LeaseLock) *status {
	return &status{
		log: log, lease: lease, lost: make(chan error, 1),
		err: errors.New("the leases of other LeaderWorkerSet controllers are not read yet"),
	}
}

// recordBy makes the recorder record the events of the leader election.
func (s *status) recordBy(recorder events.EventRecorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder = recorder
	s.lease.LockConfig.EventRecorder = eventRecorder{recorder}
}

// set notes why the operator waits, or that it doesn't. A change of the holder is logged and recorded.
func (s *status) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	previous := s.err
	s.err = err
	var held *HeldError
	if !errors.As(err, &held) || previous != nil && previous.Error() == err.Error() {
		return
	}
	s.log.Info("The operator waits for another LeaderWorkerSet controller to stop",
		"lease", held.Lease, "holder", held.Holder)
	if s.recorder != nil {
		s.recorder.Eventf(&coordinationv1.Lease{
			TypeMeta:   metav1.TypeMeta{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease"},
			ObjectMeta: s.lease.LeaseMeta,
		}, nil, corev1.EventTypeWarning, "OtherControllerRuns", "TakeOver", "%s", held.Error())
	}
}

// lose ends the manager, because of the error.
func (s *status) lose(err error) {
	select {
	case s.lost <- err:
	default:
	}
}

// ready returns why the operator waits, or nil.
func (s *status) ready(*http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Start returns an error once another controller has got a lease that an elected replica held.
func (s *status) Start(ctx context.Context) error {
	select {
	case err := <-s.lost:
		return fmt.Errorf("the operator stops: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// NeedLeaderElection returns false: the manager starts the status before the election.
func (s *status) NeedLeaderElection() bool { return false }

// eventRecorder records the events of the leader election by the newer API for events.
type eventRecorder struct{ recorder events.EventRecorder }

// Eventf records an event about an object.
func (r eventRecorder) Eventf(object runtime.Object, eventType, reason, message string, args ...any) {
	r.recorder.Eventf(object, nil, eventType, reason, "ElectLeader", message, args...)
}
