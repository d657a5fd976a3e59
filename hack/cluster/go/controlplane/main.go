// One binary, several Kubernetes programs, chosen by the first argument: linking them
// together costs one build and 170 MB of disk, six builds would cost 600 MB.
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
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// commands have a cobra.Command of their own; the other programs are special cases in main.
var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	// Each program parses os.Args itself and expects its own name in front.
	program := os.Args[1]
	os.Args = append([]string{program}, os.Args[2:]...)

	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	case "certificate":
		exitOnError(writeCertificate(os.Args[1:]))
	case "signing-key":
		exitOnError(writeSigningKey(os.Args[1:]))
	case "yaml-to-json":
		exitOnError(convertYAML(os.Stdin, os.Stdout))
	default:
		newCommand, known := commands[program]
		if !known {
			usage()
		}
		os.Exit(cli.Run(newCommand()))
	}
}

func usage() {
	programs := []string{"etcd", "kubectl", "certificate", "signing-key", "yaml-to-json"}
	for name := range commands {
		programs = append(programs, name)
	}
	slices.Sort(programs)
	fmt.Fprintf(os.Stderr, "usage: controlplane %s ...\n", strings.Join(programs, "|"))
	os.Exit(2)
}

func exitOnError(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
