// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
)

// listFlags are the flags of the verb list.
type listFlags struct {
	all, unready, watch bool
	selector            string
	output              *output
}

func (p *plugin) list() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sets with their worst group",
		Example: "  kubectl lws list -A --unready",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.runList(cmd, flags) },
	}
	cmd.Flags().BoolVarP(&flags.all, "all-namespaces", "A", false, "List the sets of all namespaces.")
	cmd.Flags().StringVarP(&flags.selector, "selector", "l", "", "Label selector of the sets.")
	cmd.Flags().BoolVar(&flags.unready, "unready", false, "Leave out sets that are available.")
	cmd.Flags().BoolVarP(&flags.watch, "watch", "w", false, "List again after each change.")
	flags.output = newOutput(cmd)
	return cmd
}

func (p *plugin) runList(cmd *cobra.Command, flags listFlags) error {
	server, namespace, err := p.connect()
	if err != nil {
		return err
	}
	if flags.all {
		namespace = ""
	}
	show := func() (bool, error) { return false, p.showList(cmd, server, namespace, flags) }
	if !flags.watch {
		_, err := show()
		return err
	}
	return p.follow(cmd.Context(), server, show, watched{&leaderworkersetv1.LeaderWorkerSetList{},
		[]client.ListOption{client.InNamespace(namespace)}})
}

func (p *plugin) showList(cmd *cobra.Command, server *cluster.Cluster, namespace string, flags listFlags) error {
	sets, err := server.Sets(cmd.Context(), namespace, flags.selector)
	if err != nil {
		return err
	}
	if flags.unready {
		sets.Items = withoutAvailable(sets.Items)
	}
	if !flags.output.isTable() {
		return flags.output.objects(p, sets)
	}
	if len(sets.Items) == 0 {
		return p.none(namespace)
	}
	style := p.style()
	style.NoHeaders, style.Wide = flags.output.noHeaders, *flags.output.print.OutputFormat == wide
	style.Namespaces = flags.all
	return screen.List(p.Out, sets.Items, style, p.now())
}

// none says that there is nothing to list, as kubectl does.
func (p *plugin) none(namespace string) error {
	message := "No resources found"
	if namespace != "" {
		message = fmt.Sprintf("No resources found in %s namespace.", namespace)
	}
	_, err := fmt.Fprintln(p.ErrOut, message)
	return err
}

// withoutAvailable returns the sets whose condition Available isn't True, and those that have an unready group.
func withoutAvailable(sets []leaderworkersetv1.LeaderWorkerSet) []leaderworkersetv1.LeaderWorkerSet {
	var unready []leaderworkersetv1.LeaderWorkerSet
	for i := range sets {
		if !isAvailable(sets[i].Status.Conditions) || len(sets[i].Status.UnreadyGroups) > 0 {
			unready = append(unready, sets[i])
		}
	}
	return unready
}

func isAvailable(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, leaderworkersetv1.ConditionAvailable)
}
