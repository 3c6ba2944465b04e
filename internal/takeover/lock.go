// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errNext ends a round of leader election that took over another controller's lease, while a replica of the operator
// may still hold the operator's own. The next round goes on.
var errNext = errors.New("the operator took over the lease of another controller; its own lease is next")

// lock is what replicas of the operator elect their leader by. While another controller holds one of the other leases,
// the lock is that lease, so nobody is elected. Otherwise the lock is the operator's own lease. The elected replica
// renews the other leases with its own, so that another controller that comes back waits.
//
// Only the goroutine of the leader election calls Get, Create and Update.
type lock struct {
	resourcelock.Interface // the operator's own lease

	others []resourcelock.Interface // the leases of other controllers
	// identity is the holder of the other leases while the operator has them. All replicas have the same one: the
	// operator's own lease says which of them leads.
	identity string
	// blocking is the lease whose record the last Get returned; nil if that was the operator's own.
	blocking resourcelock.Interface
	leads    bool
	status   *status
}

// Get returns the record of the first lease that another controller holds, or that of the operator's own lease. The
// leader election decides by its own clock whether a holder has stopped to renew its lease.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.blocking = nil
	for _, other := range l.others {
		switch record, raw, err := other.Get(ctx); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, nil, l.unknown(other, err)
		case l.heldByOther(record):
			l.blocking = other
			_ = l.held(other, record)
			return record, raw, nil
		}
	}
	l.status.set(nil)
	return l.getOwn(ctx)
}

// getOwn returns the record of the operator's own lease. A replica ends if it leads and another replica has the lease,
// as after a freeze. The leader election alone would go on until the renew deadline, while both replicas write.
func (l *lock) getOwn(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && l.leads && record.HolderIdentity != "" && record.HolderIdentity != l.Identity() {
		l.status.lose(fmt.Errorf("replica %s leads by now", record.HolderIdentity))
	}
	return record, raw, err
}

// Create creates the operator's own lease, once the operator holds the other ones.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.holdAll(ctx, record, l.Interface.Create)
}

// Update renews the operator's own lease, once the operator holds the other ones. If the last Get returned the record
// of another controller's lease, then that lease has expired, and Update takes it over. A released lease frees only the
// operator's own: between two leaders of the operator no other controller gets in.
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" {
		return l.Interface.Update(ctx, record)
	}
	if l.blocking != nil {
		return l.takeOver(ctx, l.blocking, record)
	}
	return l.holdAll(ctx, record, l.Interface.Update)
}

// takeOver writes the operator into a lease that has expired. If the operator's own lease is free, takeOver takes that
// as well.
func (l *lock) takeOver(
	ctx context.Context, other resourcelock.Interface, record resourcelock.LeaderElectionRecord,
) error {
	taken := record
	taken.HolderIdentity = l.identity
	if err := other.Update(ctx, taken); err != nil {
		return l.unknown(other, err)
	}
	l.blocking = nil
	l.status.log.Info("Took over the lease of another LeaderWorkerSet controller", "lease", other.Describe())
	switch own, _, err := l.Interface.Get(ctx); {
	case apierrors.IsNotFound(err):
		return l.holdAll(ctx, record, l.Interface.Create)
	case err != nil:
		return err
	case own.HolderIdentity == "":
		return l.holdAll(ctx, record, l.Interface.Update)
	default:
		return errNext
	}
}

// holdAll takes or renews every other lease, and then writes the operator's own.
func (l *lock) holdAll(
	ctx context.Context, record resourcelock.LeaderElectionRecord,
	write func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	if err := l.holdOthers(ctx, record); err != nil {
		return err
	}
	err := write(ctx, record)
	l.leads = l.leads || err == nil
	return err
}

// holdOthers takes or renews every other lease that exists. A record is the one for the operator's own lease.
func (l *lock) holdOthers(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	for _, other := range l.others {
		switch previous, _, err := other.Get(ctx); {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return l.unknown(other, err)
		case l.heldByOther(previous):
			return l.held(other, previous)
		default:
			if err := other.Update(ctx, claim(*previous, record, l.identity)); err != nil {
				return l.unknown(other, err)
			}
		}
	}
	l.status.set(nil)
	return nil
}

// heldByOther reports whether a record names a holder that isn't this operator. The holder may have expired.
func (l *lock) heldByOther(record *resourcelock.LeaderElectionRecord) bool {
	return record.HolderIdentity != "" && record.HolderIdentity != l.identity
}

// held notes that another controller holds a lease, and returns that as an error.
func (l *lock) held(other resourcelock.Interface, record *resourcelock.LeaderElectionRecord) error {
	err := &HeldError{Lease: other.Describe(), Holder: record.HolderIdentity}
	l.status.set(err)
	if l.leads {
		l.status.lose(err)
	}
	return err
}

// unknown notes that a lease can't be read or written, and returns that as an error.
func (l *lock) unknown(other resourcelock.Interface, err error) error {
	err = fmt.Errorf("hold lease %s of another LeaderWorkerSet controller: %w", other.Describe(), err)
	l.status.set(err)
	return err
}

// claim returns the record by which the operator takes or renews another lease. now is the record for its own lease.
func claim(previous, now resourcelock.LeaderElectionRecord, identity string) resourcelock.LeaderElectionRecord {
	claimed := now
	claimed.HolderIdentity = identity
	claimed.LeaderTransitions = previous.LeaderTransitions
	if previous.HolderIdentity == identity {
		claimed.AcquireTime = previous.AcquireTime
	} else {
		claimed.AcquireTime = now.RenewTime
		claimed.LeaderTransitions++
	}
	return claimed
}
