// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/edit"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

func (p *plugin) rollout() *cobra.Command {
	cmd := &cobra.Command{Use: "rollout", Short: "Watch and steer the rolling update of a set"}
	cmd.AddCommand(p.rolloutStatus(), p.rolloutHistory(), p.rolloutUndo(), p.rolloutRestart(), p.rolloutPause(),
		p.rolloutResume(), p.rolloutCanary())
	return cmd
}

// The values of the flag --dry-run, as kubectl has them.
const (
	dryRunNone   = "none"
	dryRunServer = "server"
)

// addDryRun adds the flag --dry-run.
func addDryRun(cmd *cobra.Command) *string {
	value := cmd.Flags().String("dry-run", dryRunNone,
		`Must be "none" or "server". With "server", the API server checks the change and doesn't make it.`)
	cmd.Flags().Lookup("dry-run").NoOptDefVal = dryRunServer
	values := cobra.FixedCompletions([]string{dryRunNone, dryRunServer}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("dry-run", values) // It fails for flags that don't exist only.
	return value
}

// isDryRun reports whether the flag --dry-run asks for one.
func isDryRun(value string) (bool, error) {
	switch value {
	case dryRunNone:
		return false, nil
	case dryRunServer:
		return true, nil
	default:
		return false, fmt.Errorf(`invalid dry-run value (%s): must be "none" or "server"`, value)
	}
}

// change is a change of a set: the patch, and what to say of it.
type change struct {
	patch []byte
	done  string
}

// changeSet returns the function of a verb that changes a set.
func (p *plugin) changeSet(
	dryRun *string, decide func(*view.Set) (change, error),
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		dry, err := isDryRun(*dryRun)
		if err != nil {
			return err
		}
		server, set, err := p.read(cmd, args[0])
		if err != nil {
			return err
		}
		decided, err := decide(set)
		if err != nil {
			return err
		}
		return p.apply(cmd.Context(), server, set, decided, dry)
	}
}

// apply sends a change, and says what it does.
func (p *plugin) apply(ctx context.Context, server *cluster.Cluster, set *view.Set, decided change, dry bool) error {
	if err := server.Patch(ctx, set.Objects.LWS, decided.patch, dry); err != nil {
		return err
	}
	return p.say("leaderworkerset.leaderworkerset.x-k8s.io/"+set.LWS.Name+" "+decided.done, dry)
}

// say writes a line about a change, as kubectl does.
func (p *plugin) say(line string, dry bool) error {
	if dry {
		line += " (server dry run)"
	}
	_, err := fmt.Fprintln(p.Out, line)
	return err
}

func (p *plugin) rolloutRestart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart NAME",
		Short: "Replace all groups, within the budget of the rolling update",
		Long: "Replace all groups, within the budget of the rolling update: an annotation of the templates makes a new " +
			"revision.",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.RunE = p.changeSet(addDryRun(cmd), func(set *view.Set) (change, error) {
		patch, err := edit.Restart(set.Objects.LWS, p.now())
		return change{patch: patch, done: "restarted"}, err
	})
	return cmd
}

func (p *plugin) rolloutPause() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pause NAME",
		Short: "Stop the rolling update where it is, or before it begins",
		Long: "Stop the rolling update where it is: the partition protects the groups that it has yet to replace. If no " +
			"update is in progress, the partition protects all groups from the next one.",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.RunE = p.changeSet(addDryRun(cmd), func(set *view.Set) (change, error) {
		partition := edit.PauseAt(set)
		if partition == set.Partition {
			return change{}, nothingToPause(set)
		}
		patch, err := edit.Partition(set.Objects.LWS, partition)
		return change{patch: patch, done: fmt.Sprintf("paused: partition %d, was %d", partition, set.Partition)}, err
	})
	return cmd
}

// nothingToPause says why a rolling update can't be paused.
func nothingToPause(set *view.Set) error {
	if set.IsUpdating() && len(set.Held()) == 0 {
		return errors.New("the rollout has released all groups: there is nothing to pause")
	}
	return fmt.Errorf("the rollout is paused already: the partition is %d", set.Partition)
}

func (p *plugin) rolloutResume() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "resume NAME",
		Short:             "Let the rolling update replace all groups: set the partition to 0",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.RunE = p.changeSet(addDryRun(cmd), func(set *view.Set) (change, error) {
		if set.Partition == 0 {
			return change{}, errors.New("the rollout isn't paused: the partition is 0")
		}
		patch, err := edit.Partition(set.Objects.LWS, 0)
		return change{patch: patch, done: fmt.Sprintf("resumed: partition 0, was %d", set.Partition)}, err
	})
	return cmd
}

func (p *plugin) rolloutCanary() *cobra.Command {
	var groups int32
	cmd := &cobra.Command{
		Use:   "canary NAME --groups=N",
		Short: "Let the rolling update replace the N groups with the highest indices only",
		Example: "  kubectl lws rollout canary llama --groups=1   # before the change, or after pause\n" +
			"  kubectl lws rollout resume llama              # the others",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().Int32Var(&groups, "groups", 1, "Number of groups to update.")
	cmd.RunE = p.changeSet(addDryRun(cmd), func(set *view.Set) (change, error) {
		replicas := *set.LWS.Spec.Replicas
		if groups < 0 || groups > replicas {
			return change{}, fmt.Errorf("--groups must be between 0 and the number of groups, %d", replicas)
		}
		patch, err := edit.Partition(set.Objects.LWS, replicas-groups)
		return change{patch: patch, done: canaryDone(set, replicas-groups)}, err
	})
	return cmd
}

// canaryDone says which groups a partition leaves to the rolling update.
func canaryDone(set *view.Set, partition int32) string {
	var indices []int32
	for index := partition; index < *set.LWS.Spec.Replicas; index++ {
		indices = append(indices, index)
	}
	text := fmt.Sprintf("partition %d, was %d: ", partition, set.Partition)
	if len(indices) == 0 {
		return text + "no group is updated"
	}
	return text + status.Groups(indices) + areUpdated(len(indices))
}

func areUpdated(groups int) string {
	if groups == 1 {
		return " is updated"
	}
	return " are updated"
}

// isDegraded reports whether a set can't get on without help.
func isDegraded(set *view.Set) bool { return set.Holds(leaderworkersetv1.ConditionDegraded) }
