// Command kserve is KServe's own InferenceService controller with its webhooks, run beside a cluster instead of in it.
// Everything it does is in KServe's packages; what is here wires them as KServe's manager does, in Standard mode.
package main

import (
	"context"
	"flag"
	"net/http"
	"os"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/kserve/kserve/pkg/apis/serving/v1alpha1"
	"github.com/kserve/kserve/pkg/apis/serving/v1beta1"
	"github.com/kserve/kserve/pkg/controller/v1beta1/inferenceservice"
	"github.com/kserve/kserve/pkg/webhook/admission/pod"
	"github.com/kserve/kserve/pkg/webhook/admission/servingruntime"
	otel "github.com/open-telemetry/opentelemetry-operator/apis/v1beta1"
	istio "istio.io/client-go/pkg/apis/networking/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	client "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	knative "knative.dev/serving/pkg/apis/serving/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

type settings struct {
	certificates string
	hooksPort    int
	health       string
}

func main() {
	var chosen settings
	flag.StringVar(&chosen.certificates, "certificates", "", "folder with tls.crt and tls.key of the webhooks")
	flag.IntVar(&chosen.hooksPort, "port", 19443, "port of the webhooks on 127.0.0.1")
	flag.StringVar(&chosen.health, "health", "127.0.0.1:18081", "address of /readyz")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), chosen); err != nil {
		ctrl.Log.Error(err, "ended")
		os.Exit(1)
	}
}

func run(ctx context.Context, chosen settings) error {
	known, err := kinds()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 known,
		Metrics:                metrics.Options{BindAddress: "0"},
		HealthProbeBindAddress: chosen.health,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: "127.0.0.1", Port: chosen.hooksPort, CertDir: chosen.certificates,
		}),
	})
	if err != nil {
		return err
	}
	direct, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := addController(ctx, mgr, config, direct); err != nil {
		return err
	}
	if err := addWebhooks(mgr, direct); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func kinds() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		client.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme, knative.AddToScheme,
		istio.AddToScheme, gateway.Install, keda.AddToScheme, otel.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func addController(ctx context.Context, mgr manager.Manager, config *rest.Config, direct kubernetes.Interface) error {
	shared, err := v1beta1.GetInferenceServiceConfigMap(ctx, direct)
	if err != nil {
		return err
	}
	deploy, err := v1beta1.NewDeployConfig(shared)
	if err != nil {
		return err
	}
	ingress, err := v1beta1.NewIngressConfig(shared)
	if err != nil {
		return err
	}
	reconciler := &inferenceservice.InferenceServiceReconciler{
		Client:       mgr.GetClient(),
		ClientConfig: config,
		Clientset:    direct,
		Log:          ctrl.Log.WithName("inferenceservice"),
		Scheme:       mgr.GetScheme(),
		Recorder:     mgr.GetEventRecorderFor("inferenceservice"),
	}
	return reconciler.SetupWithManager(mgr, deploy, ingress)
}

func addWebhooks(mgr manager.Manager, direct kubernetes.Interface) error {
	decoder, server := admission.NewDecoder(mgr.GetScheme()), mgr.GetWebhookServer()
	server.Register("/mutate-pods", &webhook.Admission{
		Handler: &pod.Mutator{Client: mgr.GetClient(), Clientset: direct, Decoder: decoder},
	})
	server.Register("/validate-serving-kserve-io-v1alpha1-servingruntime", &webhook.Admission{
		Handler: &servingruntime.ServingRuntimeValidator{Client: mgr.GetClient(), Decoder: decoder},
	})
	service := ctrl.NewWebhookManagedBy(mgr).For(&v1beta1.InferenceService{})
	service = service.WithDefaulter(&v1beta1.InferenceServiceDefaulter{}).WithValidator(&v1beta1.InferenceServiceValidator{})
	if err := service.Complete(); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("webhooks", func(r *http.Request) error { return server.StartedChecker()(r) })
}
