// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// lastLines is how many lines of a container's log the verb why shows.
const lastLines = 5

func (p *plugin) why() *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME [GROUP]",
		Short: "Say why a set or a group isn't ready, and what to do",
		Long: "Say why a set or a group isn't ready, and what to do: the chain of causes down to what the pods, the " +
			"scheduler and the API server say. Without GROUP, it explains the group that needs help most.",
		Example:           "  kubectl lws why llama\n  kubectl lws why llama 1",
		Args:              setArgs(1, 2),
		ValidArgsFunction: p.completeSetAndGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			server, set, err := p.read(cmd, args[0])
			if err != nil {
				return err
			}
			if len(args) > 1 {
				group, err := groupOf(set, args[1])
				if err != nil {
					return err
				}
				return p.explain(cmd.Context(), server, set, group)
			}
			if err := screen.WhySet(p.Out, set, p.style()); err != nil {
				return err
			}
			if worst := set.WorstFirst(); len(worst) > 0 {
				if _, err := fmt.Fprintln(p.Out); err != nil {
					return err
				}
				return p.explain(cmd.Context(), server, set, &worst[0])
			}
			return nil
		},
	}
}

func (p *plugin) explain(ctx context.Context, server *cluster.Cluster, set *view.Set, group *view.Group) error {
	explained := set.Explain(group)
	log := p.lastWords(ctx, server, set, explained.Ended)
	return screen.Why(p.Out, set, group, explained, log, p.style())
}

// lastWords reads the last lines of a container that ended. There are none if the kubelet doesn't have them any longer.
func (p *plugin) lastWords(
	ctx context.Context, server *cluster.Cluster, set *view.Set, ended *view.Ended,
) screen.Log {
	if ended == nil {
		return screen.Log{}
	}
	text, err := server.Log(ctx, set.LWS.Namespace, ended.Pod, &corev1.PodLogOptions{
		Container: ended.Container, Previous: ended.Previous, TailLines: ptr.To[int64](lastLines),
	})
	if err != nil || strings.TrimSpace(text) == "" {
		return screen.Log{}
	}
	return screen.Log{
		Of: ended.Pod + ", container " + ended.Container + ",", Lines: strings.Split(strings.TrimSpace(text), "\n"),
	}
}

// groupOf returns the group that an argument names: by its index, or by the name of its leader pod.
func groupOf(set *view.Set, argument string) (*view.Group, error) {
	index, ok := identity.ParseIndex(argument)
	if parent, ordinal, named := identity.Parse(argument); named && parent == set.LWS.Name {
		index, ok = ordinal, true
	}
	if !ok {
		return nil, fmt.Errorf("%q is neither the index of a group nor the name of its leader pod", argument)
	}
	group := set.Group(index)
	if group == nil {
		return nil, fmt.Errorf("leaderworkerset %q has no group %d: its %d groups begin with 0",
			set.LWS.Name, index, *set.LWS.Spec.Replicas)
	}
	return group, nil
}
