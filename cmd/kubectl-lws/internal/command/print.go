// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// output is the flag -o and what belongs to it.
type output struct {
	print     *genericclioptions.PrintFlags
	noHeaders bool
}

const wide = "wide"

func newOutput(cmd *cobra.Command) *output {
	o := &output{print: genericclioptions.NewPrintFlags("")}
	o.print.AddFlags(cmd)
	flag := cmd.Flags().Lookup("output")
	flag.Usage = "Output format. One of: (" + strings.Join(append(o.print.AllowedFormats(), wide), ", ") + ")."
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Don't print headers.")
	formats := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return append(o.print.AllowedFormats(), wide), cobra.ShellCompDirectiveNoFileComp
	}
	_ = cmd.RegisterFlagCompletionFunc("output", formats) // It fails for flags that don't exist only.
	return o
}

// isTable reports whether the output is for people.
func (o *output) isTable() bool {
	return (*o.print.OutputFormat == "" && *o.print.TemplatePrinterFlags.TemplateArgument == "") ||
		*o.print.OutputFormat == wide
}

// objects prints objects of the API in a format for programs.
func (o *output) objects(p *plugin, object runtime.Object) error {
	scheme, err := cluster.Scheme()
	if err != nil {
		return err
	}
	printer, err := o.print.WithTypeSetter(scheme).ToPrinter()
	if err != nil {
		return err
	}
	if *o.print.OutputFormat == "name" && meta.IsListType(object) {
		return meta.EachListItem(object, func(item runtime.Object) error { return printer.PrintObj(item, p.Out) })
	}
	return printer.PrintObj(object, p.Out)
}

// leaders returns the leader pods of groups: the objects that stand for them.
func leaders(groups []view.Group) *corev1.PodList {
	list := &corev1.PodList{}
	for _, group := range groups {
		if group.Leader != nil {
			list.Items = append(list.Items, *group.Leader)
		}
	}
	return list
}
