// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) rolloutStatus() *cobra.Command {
	var timeout time.Duration
	var watch bool
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Wait for the rolling update to end",
		Long: "Wait for the rolling update to end. The exit code is 1 at the timeout, or as soon as a group has no " +
			"restarts left.",
		Example:           "  kubectl lws rollout status llama --timeout=30m",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", true, "Wait for the end.")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "How long to wait. 0 means without a limit.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, namespace, err := p.connect()
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		if timeout > 0 {
			limited, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			ctx = limited
		}
		last := ""
		show := func() (bool, error) {
			lws, err := server.Set(ctx, namespace, args[0])
			if err != nil {
				return false, err
			}
			set := view.New(&view.Objects{LWS: lws}, p.now())
			message, done := rolloutMessage(set)
			if isDegraded(set) {
				return false, errors.New(set.Condition(leaderworkersetv1.ConditionDegraded).Message)
			}
			if message != last {
				last = message
				_, err = fmt.Fprintln(p.Out, message)
			}
			return done || !watch, err
		}
		return timedOut(ctx, p.follow(ctx, server, show, ofSet(namespace, args[0])[:1]...))
	}
	return cmd
}

// timedOut returns the error of a wait, in kubectl's words if the wait lasted too long.
func timedOut(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("timed out waiting for the condition")
	}
	return err
}

// rolloutMessage says how far the rolling update of a set is by its status, and whether it has ended.
func rolloutMessage(set *view.Set) (message string, done bool) {
	lws, name := set.LWS, set.LWS.Name
	update := set.Condition(leaderworkersetv1.ConditionUpdateInProgress)
	replicas, ready, updated := *lws.Spec.Replicas, lws.Status.ReadyReplicas, lws.Status.UpdatedReplicas
	toUpdate := max(replicas-set.Partition, 0)
	isUpdating := set.Holds(leaderworkersetv1.ConditionUpdateInProgress)
	if update == nil { // Another controller may not have the condition.
		isUpdating = updated < toUpdate
	}
	switch {
	case lws.Status.ObservedGeneration < lws.Generation || len(lws.Status.Conditions) == 0:
		return "Waiting for leaderworkerset spec update to be observed...", false
	case isUpdating:
		return fmt.Sprintf("Waiting for rollout to finish: %s...", progressOf(update, updated, toUpdate)), false
	case !set.Holds(leaderworkersetv1.ConditionAvailable):
		ready = min(ready, replicas)
		return fmt.Sprintf("Waiting for rollout to finish: %d of %d groups are ready...", ready, replicas), false
	case update != nil && update.Reason == leaderworkersetv1.ReasonHeldByPartition:
		return fmt.Sprintf("partitioned roll out complete: %d new groups have been updated...", updated), true
	default:
		return fmt.Sprintf("leaderworkerset %q successfully rolled out", name), true
	}
}

// progressOf returns what a rolling update waits for, in the operator's words if it has the condition.
func progressOf(update *metav1.Condition, updated, toUpdate int32) string {
	if update == nil {
		return fmt.Sprintf("%d out of %d new groups have been updated", updated, toUpdate)
	}
	return strings.TrimSuffix(update.Message, ".")
}
