/* examples/kubernetes without a cluster: kustomize builds it, the rules of the Pod Security Standard "restricted" are held
 * against what comes out, and its containers' commands are run as their users, with their variables, groups and volumes. */
#include "tests/cli/report/metrics.h"
#include "tests/examples/examples.h"

#include <signal.h>
#include <unistd.h>

static const char components[] = "examples/kubernetes";

/* The Python that has PyYAML; kubectl or kustomize, which build it. */
static const char *python;
static const char *builder;

static void need_builder(void) {
    static const char *const pythons[] = { "python3", "/usr/bin/python3" }, *const builders[] = { "kubectl kustomize",
                                                                                                  "kustomize build" };
    for (size_t i = 0; i < ROWS(pythons) && !python; i++)
        python = shell("%s -c 'import yaml'", pythons[i]).status == 0 ? pythons[i] : NULL;
    for (size_t i = 0; i < ROWS(builders) && !builder; i++)
        builder = shell("HOME=/nonexistent %s examples/kubernetes/ports", builders[i]).status == 0 ? builders[i] : NULL;
    if (!python)
        cr_skip_test("no python3-yaml");
    if (!builder)
        cr_skip_test("neither kubectl nor kustomize is here, or too old a one (before kustomize 5)");
}

/* What is built of a directory: a list of objects. */
static json_t *build(const char *directory) {
    struct ended e = shell("HOME=/nonexistent %s %s | %s -c 'import json, sys, yaml; "
                           "json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)'",
                           builder, directory, python);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_assert(json && json_array_size(json), "%s: %s%s", directory, e.out, e.err);
    return json;
}

/* A kustomization of its own of the example's files, with these components, and `sed` over all files. */
static const char *variant(const char *these, const char *sed) {
    const char *directory = new_directory();
    struct ended e = shell("cp -r %s/. %s && cd %s && sed -i '/^components:/,$d' kustomization.yaml && "
                           "printf 'components: [%s]\\n' >>kustomization.yaml && %s",
                           components, directory, directory, these, sed);
    cr_assert_eq(e.status, 0, "%s", e.err);
    return directory;
}

static const char *string_at(const json_t *json, const char *path) {
    const char *text = json_string_value(json_find(json, path));
    return text ? text : "";
}

/* By its name, among these of the pod: "containers" or "initContainers". */
static const json_t *container_of(const json_t *object, const char *kind, const char *name) {
    const json_t *one, *pod = json_find(object, "spec.template.spec");
    size_t i;
    json_array_foreach(json_object_get(pod, kind), i, one)
        if (strcmp(string_at(one, "name"), name) == 0)
            return one;
    give_up("no %s %s", kind, name);
    return NULL;
}

/* ---- restricted -------------------------------------------------------------------------------------------------- */

/* Which of https://kubernetes.io/docs/concepts/security/pod-security-standards/ it breaks, or NULL. */
static const char *broken_by_container(const json_t *c) {
    static const char drop[] = "securityContext.capabilities.drop.0";
    if (!json_is_true(json_find(c, "securityContext.runAsNonRoot")))
        return "runAsNonRoot";
    if (!json_is_false(json_find(c, "securityContext.allowPrivilegeEscalation")))
        return "allowPrivilegeEscalation";
    if (json_number(c, "securityContext.runAsUser") == 0)
        return "runAsUser";
    if (strcmp(string_at(c, drop), "ALL") != 0 || json_find(c, "securityContext.capabilities.add"))
        return "capabilities";
    if (strcmp(string_at(c, "securityContext.seccompProfile.type"), "RuntimeDefault") != 0)
        return "seccompProfile";
    if (!json_is_true(json_find(c,
                                "securityContext.readOnlyRootFilesystem"))) /* not of the standard: the issue's own */
        return "readOnlyRootFilesystem";
    if (json_find(c, "securityContext.privileged") || json_find(c, "securityContext.procMount") ||
        json_find(c, "ports.0.hostPort"))
        return "what baseline forbids";
    return NULL;
}

static const char *broken_by_pod(const json_t *pod) {
    static const char *const volumes[] = { "configMap", "csi",       "downwardAPI", "emptyDir",
                                           "ephemeral", "projected", "secret",      "persistentVolumeClaim" };
    static const char *const sysctls[] = { "kernel.shm_rmid_forced",           "net.ipv4.ip_local_port_range",
                                           "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
                                           "net.ipv4.tcp_syncookies",          "net.ipv4.ping_group_range" };
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(pod, "volumes"), i, one) {
        bool known = false;
        for (size_t k = 0; k < ROWS(volumes); k++)
            known |= json_object_get(one, volumes[k]) != NULL;
        if (!known || json_object_size(one) != 2)
            return "volumes";
        if (json_object_get(one, "emptyDir") && !json_find(one, "emptyDir.sizeLimit"))
            return "an emptyDir without a size limit";
    }
    json_array_foreach(json_find(pod, "securityContext.sysctls"), i, one) {
        bool safe = false;
        for (size_t k = 0; k < ROWS(sysctls); k++)
            safe |= strcmp(string_at(one, "name"), sysctls[k]) == 0;
        if (!safe)
            return "sysctls";
    }
    if (json_find(pod, "hostNetwork") || json_find(pod, "hostPID") || json_find(pod, "hostIPC"))
        return "host namespaces";
    return NULL;
}

static const char *broken(const json_t *object) {
    static const char *const kinds[] = { "initContainers", "containers" };
    const json_t *pod = json_find(object, "spec.template.spec"), *one;
    const char *rule = broken_by_pod(pod);
    size_t i;
    for (size_t k = 0; k < ROWS(kinds); k++)
        json_array_foreach(json_object_get(pod, kinds[k]), i, one)
            rule = rule ? rule : broken_by_container(one);
    return rule;
}

Test(examples_kubernetes, what_is_built_fits_into_a_restricted_namespace) {
    need_builder();
    static const char *const rows[] = { "ports", "library", "library, metrics", "ports, library, metrics" };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const json_t *built = build(variant(rows[i], "true"));
        cr_expect_eq(json_array_size(built), 1, "settings are not applied");
        const char *rule = broken(json_array_get(built, 0));
        cr_expect(!rule, "%s: %s", rows[i], rule);
    }
    static const char *const damaged[][2] = {
        { "runAsNonRoot", "sed -i s/runAsNonRoot:.true/runAsNonRoot:\\ false/ metrics/pod.yaml" },
        { "allowPrivilegeEscalation", "sed -i /allowPrivilegeEscalation/d library/pod.yaml" },
        { "capabilities", "sed -i /capabilities/d library/pod.yaml" },
        { "seccompProfile", "sed -i s/RuntimeDefault/Unconfined/ metrics/pod.yaml" },
        { "readOnlyRootFilesystem", "sed -i /readOnlyRootFilesystem/d metrics/pod.yaml" },
        { "runAsUser", "sed -i s/runAsUser:.65532/runAsUser:\\ 0/ library/pod.yaml" },
        { "an emptyDir without a size limit", "sed -i s/sizeLimit:.8Mi// library/pod.yaml" },
        { "sysctls", "sed -i s/name=net.ipv4.ip_local_port_range/name=net.ipv4.tcp_max_tw_buckets/ ports/kust*" },
    };
    for (size_t i = 0; i < ROWS(damaged); i++) {
        const char *rule = broken(json_array_get(build(variant("ports, library, metrics", damaged[i][1])), 0));
        cr_expect(rule && strcmp(rule, damaged[i][0]) == 0, "the test itself: %s: %s", damaged[i][0], rule);
    }
}

/* The API's own schema, where somebody has put it: npm install kubernetes-models, and NODE_PATH. */
Test(examples_kubernetes, what_is_built_is_of_the_apis_schema) {
    need_builder();
    if (shell("node -e 'require(\"kubernetes-models/apps/v1/Deployment\")'").status != 0)
        cr_skip_test("no kubernetes-models for node");
    const char *file = scratch_path();
    json_dump_file(json_array_get(build(components), 0), file, 0);
    struct ended e = shell("node -e 'const { Deployment } = require(\"kubernetes-models/apps/v1/Deployment\");"
                           "new Deployment(JSON.parse(require(\"fs\").readFileSync(0))).validate()' <%s",
                           file);
    cr_expect_eq(e.status, 0, "%s", e.err);
}

/* ---- what is there stays ----------------------------------------------------------------------------------------- */

Test(examples_kubernetes, what_is_not_named_stays_as_it_is) {
    need_builder();
    const json_t *before = build(variant("", "true")),
                 *other = build(variant("ports, library, metrics", "sed -i s/legacy/else/ kustomization.yaml "
                                                                   "&& mv legacy.yaml else.yaml && sed -i "
                                                                   "s/name:.legacy$/name:\\ else/ else.yaml"));
    cr_expect_str_eq(string_at(json_array_get(other, 0), "metadata.name"), "else");
    cr_expect(!json_find(other, "0.spec.template.spec.initContainers"));
    /* And of the named one all that it had is there, in its own words. */
    const json_t *after = build(components);
    static const char *const names[] = { "legacy", "helper" };
    for (size_t i = 0; i < ROWS(names); i++) {
        const json_t *was = container_of(json_array_get(before, 0), "containers", names[i]),
                     *is = container_of(json_array_get(after, 0), "containers", names[i]), *value;
        const char *key;
        json_object_foreach((json_t *)was, key, value)
            if (strcmp(key, "env") != 0)
                cr_expect(json_equal(value, json_object_get(is, key)), "%s: %s", names[i], key);
        cr_expect(!json_find(was, "env.0") || json_equal(json_find(was, "env.0"), json_find(is, "env.0")));
    }
    /* Without a name: every Deployment. */
    const json_t *both = build(variant("library",
                                       "sed -i s/,.name:.legacy.}/}/ */kustomization.yaml && sed "
                                       "s/name:.legacy$/name:\\ else/ legacy.yaml >else.yaml && sed -i "
                                       "s/..-.legacy.yaml/\\&\\\\n\\&/\\;s/-.legacy/-\\ else/ kustomization.yaml"));
    cr_expect_eq(json_array_size(both), 2);
    for (size_t i = 0; i < json_array_size(both); i++)
        cr_expect_str_eq(string_at(json_array_get(both, i), "spec.template.spec.initContainers.0.name"),
                         "bring-afterfin");
}

/* What the Deployment has of its own is added to. */
Test(examples_kubernetes, lists_of_the_deployment_are_added_to) {
    need_builder();
    const char *directory = variant("ports, library, metrics",
                                    "sed -i 's/^    spec:/&\\n      securityContext: { supplementalGroups: [100], "
                                    "sysctls: [{ name: net.ipv4.tcp_syncookies, value: \"1\" }] }/' legacy.yaml");
    const json_t *pod = json_find(json_array_get(build(directory), 0), "spec.template.spec");
    cr_expect_eq(json_number(pod, "securityContext.supplementalGroups.0"), 100);
    cr_expect_eq(json_number(pod, "securityContext.supplementalGroups.1"), 65532);
    cr_expect_eq(json_array_size(json_find(pod, "securityContext.sysctls")), 2);
}

/* ---- at work ------------------------------------------------------------------------------------------------------- */

static const json_t *deployment;
static const char *root;

/* An emptyDir is made so, as root's; mkdir -m 777 is subject to umask. */
static void make_pod(void) {
    const json_t *volume;
    size_t i;
    deployment = json_array_get(build(components), 0);
    root = new_directory();
    cr_assert_eq(shell("cd %s && chmod 755 . && mkdir bin && cp %s %s bin && cp %s bin/legacy && cp %s bin/helper && "
                       "cp %s bin/probe && chmod -R a+rX bin",
                       root, command_path(), library_path(), victim_path("connect_close"), victim_path("connect_close"),
                       victim_path("connect_close"))
                     .status,
                 0);
    json_array_foreach(json_find(deployment, "spec.template.spec.volumes"), i, volume)
        cr_assert_eq(shell("mkdir %s/%s && chmod 777 %s/%s", root, string_at(volume, "name"), root,
                           string_at(volume, "name"))
                         .status,
                     0);
}

/* A command line of this container: its user, groups and variables, its mounts below `root`. */
static const char *in_container(const json_t *c, const char *line) {
    const json_t *one;
    size_t i;
    char *text = strdup(""), *all, by[512];
    json_array_foreach(json_object_get(c, "env"), i, one)
        cr_assert_gt(asprintf(&text, "%s %s=%s", text, string_at(one, "name"), string_at(one, "value")), 0);
    cr_assert_gt(asprintf(&text, "%s %s", text, line), 0);
    json_array_foreach(json_object_get(c, "volumeMounts"), i, one) {
        snprintf(by, sizeof by, "%s/%s", root, string_at(one, "name"));
        /* "/afterfin" is the beginning of "/afterfin-ledgers" */
        char from[128], to[600];
        snprintf(from, sizeof from, "%s/", string_at(one, "mountPath"));
        snprintf(to, sizeof to, "%s/", by);
        text = (char *)moved(text, from, to);
    }
    const long user = json_number(c, "securityContext.runAsUser"), group = json_number(c, "securityContext.runAsGroup");
    cr_assert_gt(asprintf(&all, "exec setpriv --reuid %ld --regid %ld --groups %ld env -i PATH=%s/bin:/usr/bin:/bin %s",
                          user, group < 0 ? 0 : group,
                          json_number(deployment, "spec.template.spec.securityContext.supplementalGroups.0"), root,
                          text),
                 0);
    return all;
}

static const char *command_of(const json_t *c) {
    const json_t *word;
    size_t i;
    char *line = strdup("");
    json_array_foreach(json_object_get(c, "command"), i, word)
        cr_assert_gt(asprintf(&line, "%s%s%s", line, *line ? " " : "", json_string_value(word)), 0);
    return line;
}

static void start_init_containers(void) {
    const json_t *one;
    size_t i;
    char bin[512];
    snprintf(bin, sizeof bin, "%s/bin", root);
    json_array_foreach(json_find(deployment, "spec.template.spec.initContainers"), i, one) {
        struct ended e = shell("%s", moved(in_container(one, command_of(one)), "/usr/local/lib", bin));
        cr_assert_eq(e.status, 0, "%s: %s", string_at(one, "name"), e.err);
    }
}

static const char *with_port(const char *format, unsigned port) {
    char *line;
    cr_assert_gt(asprintf(&line, format, port), 0);
    return line;
}

Test(examples_kubernetes, containers_of_several_users_share_a_directory_and_one_serves_what_they_did) {
    enum { LEGACY = 5, HELPER = 3, PROBE = 1 };
    need_builder();
    if (geteuid() != 0 || shell("setpriv --reuid 1 --regid 1 --clear-groups true").status != 0)
        cr_skip_test("only root can be several users");
    ns_enter();
    make_pod();
    start_init_containers();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    const json_t *legacy = container_of(deployment, "containers", "legacy"),
                 *helper = container_of(deployment, "containers", "helper"),
                 *sidecar = container_of(deployment, "containers", "afterfin");
    expect_avoided(in_container(legacy, with_port("legacy 127.0.0.1 %u -n 5 -b 1 -r 1", peer.port)), LEGACY, "legacy");
    expect_avoided(in_container(helper, with_port("helper 127.0.0.1 %u -n 3 -b 1 -r 1", peer.port)), HELPER, "helper");
    struct ended e = shell("%s", in_container(legacy, with_port("probe 127.0.0.1 %u -n 1 -b 1 -r 1", peer.port)));
    cr_expect_str_empty(e.err, "what a probe starts is left alone: %s", e.err);
    ns_settle();
    cr_expect_eq(ns_tw(), PROBE, "and its TIME_WAIT stays");
    e = shell("stat -c '%%a %%u %%g' %s/afterfin-ledgers/pod/*.ledger | sort", root);
    cr_expect_str_eq(e.out, "640 1000 65532\n640 1001 65532\n");
    /* The sidecar, on another port than its own, since tests run side by side. */
    char *line = (char *)in_container(sidecar, moved(command_of(sidecar), "0.0.0.0:9642", "127.0.0.1:0"));
    cr_assert_gt(asprintf(&line, "%s 2>&1", line), 0);
    struct victim v = victim_start_argv(NULL, (const char *[]){ "sh", "-c", line, NULL });
    victim_wait_out(&v, "/metrics");
    unsigned port = 0;
    cr_assert_eq(sscanf(victim_out(&v), "afterfin: report: http://127.0.0.1:%u/metrics", &port), 1, "%s",
                 victim_out(&v));
    e = shell("%s -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:%u/metrics\").read().decode())'",
              python, port);
    cr_expect_eq(metric(e.out, "afterfin_avoided_total{program=\"legacy\"}"), LEGACY, "%s%s", e.out, e.err);
    cr_expect_eq(metric(e.out, "afterfin_avoided_total{program=\"helper\"}"), HELPER, "%s%s", e.out, e.err);
    kill(v.pid, SIGTERM);
    cr_expect_eq(victim_wait(&v).status, 0, "%s", victim_out(&v));
}
