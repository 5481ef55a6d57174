package org.ofaedge.demo.ui;

import android.content.Context;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.BundledModel;
import org.ofaedge.demo.core.Fault;

/** What faults and models are called on the screen. */
final class Texts {
    private Texts() {}

    static String of(Context context, Fault fault) {
        String what = context.getString(what(fault.code));
        return context.getString(R.string.fault_with_detail, what, fault.code, String.valueOf(fault.getMessage()));
    }

    private static int what(String code) {
        if (code.equals(Fault.BAD_BUNDLE)) {
            return R.string.fault_bad_bundle;
        } else if (code.equals(Fault.BAD_SAMPLES)) {
            return R.string.fault_bad_samples;
        } else if (code.equals(Fault.DAMAGED)) {
            return R.string.fault_damaged;
        } else if (code.equals(Fault.FAILED)) {
            return R.string.fault_failed;
        } else if (code.equals(Fault.NO_MEMORY)) {
            return R.string.fault_no_memory;
        } else if (code.equals(Fault.NO_METADATA)) {
            return R.string.fault_no_metadata;
        } else if (code.equals(Fault.NO_RUNTIME)) {
            return R.string.fault_no_runtime;
        } else if (code.equals(Fault.UNSUPPORTED_MODEL)) {
            return R.string.fault_unsupported_model;
        }
        return code.equals(Pictures.UNREADABLE) ? R.string.picture_unreadable : R.string.fault_other;
    }

    /** Precision, size, target; then the latencies, each with where it comes from. */
    static String facts(Context context, BundledModel model) {
        String size = context.getString(R.string.kilobytes, model.size / 1e3);
        StringBuilder text = new StringBuilder();
        text.append(context.getString(R.string.model_facts, model.precision, size, model.target)).append('\n');
        if (model.predicted == null) {
            text.append(context.getString(R.string.model_not_predicted));
        } else {
            BundledModel.Prediction predicted = model.predicted;
            text.append(context.getString(R.string.model_predicted, predicted.ms, predicted.low90, predicted.high90,
                    predicted.provenance));
        }
        text.append('\n');
        if (model.measured == null) {
            text.append(context.getString(R.string.model_not_measured));
        } else {
            text.append(context.getString(R.string.model_measured, model.measured.p50, model.measured.p90,
                    model.measured.device));
        }
        if (!model.trained) {
            text.append('\n').append(context.getString(R.string.not_trained));
        } else if (!model.verified) {
            text.append('\n').append(context.getString(R.string.not_verified));
        }
        return text.toString();
    }
}
