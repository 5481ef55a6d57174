package org.ofaedge.demo.core;

import java.io.File;
import java.io.FileOutputStream;
import java.util.Map;
import java.util.TreeMap;

/** Writes a phone's report, an emulator's and an error's into a folder, for Python to hold against its own types. */
public final class PrintReports {
    private PrintReports() {}

    public static void main(String[] arguments) throws Exception {
        for (boolean emulated : new boolean[] {false, true}) {
            BenchmarkReport.Run run = BenchmarkReportTest.run(new TestBundle(), false);
            write(arguments[0], emulated ? "emulated" : "physical",
                    BenchmarkReport.finished(run, BenchmarkReportTest.device(emulated), "0.1.0"));
        }
        Fault fault = new Fault(Fault.BAD_REQUEST, "threads is 0");
        write(arguments[0], "error", BenchmarkReport.failed(fault, "n-1", "0.1.0", new TreeMap<String, Object>()));
    }

    private static void write(String folder, String name, Map<String, Object> json) throws Exception {
        FileOutputStream out = new FileOutputStream(new File(folder, name + ".json"));
        out.write(Json.write(json).getBytes("UTF-8"));
        out.close();
    }
}
