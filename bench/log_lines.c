/* Lines of a log as the library writes them, to stdout: log_lines LINES PROCESSES [json]. Each process says an interval a
 * minute, in turn; a thousand of them have each program. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    static char buffer[1 << 20];
    const long lines = argc > 2 ? atol(argv[1]) : 0, processes = argc > 2 ? atol(argv[2]) : 1;
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    for (long i = 0; i < lines; i++) {
        const long process = i % processes, round = i / processes + 1, n = 100 * round + process % 900;
        const time_t now = 1790000000 + process / 1000 + round * 60;
        char at[32];
        strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", gmtime(&now));
        if (argc > 3)
            printf(
                "{\"version\":1,\"event\":\"interval\",\"time\":\"%s.%03ldZ\",\"pid\":%ld,\"ppid\":1,\"program\":"
                "\"worker-%ld\",\"elapsed_s\":%ld.000,\"sockets\":%ld,\"binds\":0,\"bind_errors\":0,\"connects\":%ld,"
                "\"connect_errors\":3,\"accepts\":0,\"established\":%ld,\"time_wait\":%ld,\"avoided\":0,\"passive\":10,"
                "\"aborted\":0,\"passed\":0,\"open\":0,\"errors\":{\"connect:ECONNREFUSED\":2,\"connect:ETIMEDOUT\":1},"
                "\"time_wait_to\":{\"10.0.%ld.5:443\":%ld,\"10.0.%ld.6:5432\":20},\"policy\":{\"linger\":\"off\"}}\n",
                at, process % 1000, 1000 + process, process / 1000, round * 60, n, n, n - 3, n - 13, process % 250,
                n - 33, process % 250);
        else
            printf(
                "afterfin version=1 event=interval time=%s.%03ldZ pid=%ld ppid=1 program=worker-%ld elapsed_s=%ld.000 "
                "sockets=%ld binds=0 bind_errors=0 connects=%ld connect_errors=3 accepts=0 established=%ld "
                "time_wait=%ld avoided=0 passive=10 aborted=0 passed=0 open=0 "
                "errors=\"connect:ECONNREFUSED=2,connect:ETIMEDOUT=1\" time_wait_to=\"10.0.%ld.5:443=%ld,"
                "10.0.%ld.6:5432=20\" policy=\"linger=off\"\n",
                at, process % 1000, 1000 + process, process / 1000, round * 60, n, n, n - 3, n - 13, process % 250,
                n - 33, process % 250);
    }
    return fflush(stdout) != 0;
}
