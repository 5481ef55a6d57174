package org.ofaedge.demo.ui;

import android.content.Context;
import java.util.List;
import java.util.Map;
import org.ofaedge.demo.R;

/** A benchmark's report in a few lines. */
final class ResultText {
    private ResultText() {}

    static String of(Context context, Map<String, Object> json) {
        Map<?, ?> error = (Map<?, ?>) json.get("error");
        if (error != null) {
            return context.getString(R.string.result_failed, error.get("code"), error.get("reason"));
        }
        StringBuilder text = new StringBuilder();
        Map<?, ?> accuracy = (Map<?, ?>) json.get("accuracy");
        if (accuracy != null) {
            text.append(context.getString(R.string.result_accuracy, 100 * (Double) accuracy.get("top1"),
                    accuracy.get("correct"), accuracy.get("images"))).append('\n');
        }
        Map<?, ?> latency = (Map<?, ?>) json.get("latency");
        if (latency == null) {
            text.append(context.getString(R.string.result_no_latency));
        } else {
            text.append(context.getString(R.string.result_latency, latency.get("p50"), latency.get("low95"),
                    latency.get("high95"), latency.get("p90"), latency.get("runs"), latency.get("sessions")));
        }
        Map<?, ?> conditions = (Map<?, ?>) json.get("conditions");
        int worst = worst(conditions);
        String thermal = worst < 0 ? context.getString(R.string.thermal_unknown)
                : context.getString(R.string.thermal_status, worst);
        text.append('\n').append(context.getString(R.string.result_thermal, thermal));
        Map<?, ?> memory = (Map<?, ?>) conditions.get("memory");
        if (memory != null) {
            double megabytes = ((Number) memory.get("pss_kb")).doubleValue() * 1.024e-3;
            text.append('\n').append(context.getString(R.string.result_memory, megabytes));
        }
        return text.toString();
    }

    /** The highest status before, after, and of all sessions. */
    private static int worst(Map<?, ?> conditions) {
        int worst = Math.max(number(conditions.get("thermal_before")), number(conditions.get("thermal_after")));
        Object sessions = conditions.get("sessions");
        if (sessions instanceof List) {
            for (Object session : (List<?>) sessions) {
                worst = Math.max(worst, number(((Map<?, ?>) session).get("thermal_worst")));
            }
        }
        return worst;
    }

    private static int number(Object value) {
        return value instanceof Number ? ((Number) value).intValue() : DeviceFacts.UNKNOWN;
    }
}
