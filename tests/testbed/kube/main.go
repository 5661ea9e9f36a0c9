// Command kube is every program of a Kubernetes cluster in one file: `kube apiserver …`, `kube kubelet …`, `kube ctl …`.
// Nothing of its own; it saves the test bed six builds and 700 MB.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func run(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

var programs = map[string]func() int{
	"apiserver":          run(apiserver.NewAPIServerCommand),
	"controller-manager": run(controllermanager.NewControllerManagerCommand),
	"proxy":              run(proxy.NewProxyCommand),
	"kubelet":            run(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"scheduler":          run(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"etcd":               func() int { etcdmain.Main(os.Args); return 0 },
	"ctl": func() int {
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	},
}

func names() string {
	var all []string
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, "|")
}

func main() {
	if len(os.Args) > 1 {
		if program, known := programs[os.Args[1]]; known {
			os.Args = append([]string{"kube-" + os.Args[1]}, os.Args[2:]...)
			os.Exit(program())
		}
	}
	fmt.Fprintf(os.Stderr, "usage: kube %s [flags]\n", names())
	os.Exit(2)
}
